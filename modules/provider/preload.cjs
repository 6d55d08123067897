// Loaded by `node --require` ahead of jsii's runtime; leaves every file alone but three:
// - jsii's runtime file, which passes messages to a second Node: runtime.cjs does the work at once;
// - the provider's barrel file (one require for each of its two thousand resources) is served through lazy getters;
// - cdktf's stack traces, taken for each reference to say where it was made, would show jsii's frames and never the Python that
//   asked: they are left out.
"use strict";
// Most of what runs here runs a few times only: compiled at once without optimization it is faster than interpreted first.
require("node:v8").setFlagsFromString("--always-sparkplug");
const Module = require("node:module");
const runtime = require("./runtime.cjs");
const path = require("node:path");

const BARREL = path.join("@cdktf", "provider-aws", "lib", "index.js");
const STACK_TRACE = path.join("cdktf", "lib", "tokens", "private", "stack-trace.js");
const LINE = /^exports\.(\w+) = (?:__importStar\()?require\("(\.\/[\w-]+)"\)\)?;$/;
// What surrounds those lines in a file the TypeScript compiler wrote.
const OTHER = /^("use strict";|\/[/*].*| \*.*|Object\.defineProperty\(exports, "__esModule".*|exports\.\w+ = (exports\.\w+ = )*void 0;|)$/;

const ordinary = Module._extensions[".js"];

function resourcesOf(source) {
  const resources = [];
  for (const line of source.split("\n")) {
    const match = LINE.exec(line);
    if (match) resources.push([match[1], match[2]]);
    else if (!OTHER.test(line)) return undefined;
  }
  return resources.length ? resources : undefined;
}

Module._extensions[".js"] = function (module, filename) {
  if (runtime.isRuntime(filename) && runtime.run(module, filename)) return;
  if (filename.endsWith(STACK_TRACE)) {
    module.exports.captureStackTrace = () => [];
    return;
  }
  if (!filename.endsWith(BARREL)) return ordinary(module, filename);
  const resources = resourcesOf(require("node:fs").readFileSync(filename, "utf8"));
  if (!resources) {
    process.stderr.write(`${filename} has another shape than expected: loading it whole, which is slow\n`);
    return ordinary(module, filename);
  }
  Object.defineProperty(module.exports, "__esModule", { value: true });
  for (const [name, request] of resources) {
    Object.defineProperty(module.exports, name, {
      enumerable: true,
      configurable: true,
      get() {
        const value = module.require(request);
        Object.defineProperty(module.exports, name, { enumerable: true, value });
        return value;
      },
    });
  }
};
