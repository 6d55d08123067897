// Loaded by `node --require` before jsii's runtime. Changes how three files are loaded:
// - jsii's runtime file relays messages to a second Node; runtime.cjs runs the kernel directly.
// - The provider's index file has one require per resource (two thousand). Each becomes a getter.
// - cdktf records a stack trace for each reference. It would show only jsii's frames and no Python
//   code, so an empty trace is recorded instead.
"use strict";
// Most code runs only a few times. Such code is faster if V8 compiles it at once (Sparkplug).
require("node:v8").setFlagsFromString("--always-sparkplug");
const Module = require("node:module");
const runtime = require("./runtime.cjs");
const path = require("node:path");

const BARRELS = ["@cdktf", "@cdktn"].map((scope) =>
  path.join(scope, "provider-aws", "lib", "index.js"),
);
const STACK_TRACE = path.join("cdktf", "lib", "tokens", "private", "stack-trace.js");
// CDK Terrain records no stack traces if this variable is set.
process.env.CDKTN_DISABLE_CREATION_STACK ??= "true";
const LINE = /^exports\.(\w+) = (?:__importStar\()?require\("(\.\/[\w-]+(?:\/index)?)"\)\)?;$/;
// Functions that the TypeScript compiler defines, such as __importStar.
const HELPERS = /^var (__\w+) = \(this && this\.\1\) \|\| \([^]*?^\}.*;$\n/gm;
// The other lines that the TypeScript compiler writes: directives, comments, `void 0` exports.
const OTHERS = [
  /^("use strict";|\/[/*].*| \*.*|)$/,
  /^Object\.defineProperty\(exports, "__esModule"/,
  /^exports\.\w+ = (exports\.\w+ = )*void 0;$/,
];

const ordinary = Module._extensions[".js"];

function resourcesOf(source) {
  const resources = [];
  for (const line of source.replace(HELPERS, "").split("\n")) {
    const match = LINE.exec(line);
    if (match) resources.push([match[1], match[2]]);
    else if (!OTHERS.some((other) => other.test(line))) return undefined;
  }
  return resources.length ? resources : undefined;
}

Module._extensions[".js"] = function (module, filename) {
  if (runtime.isRuntime(filename) && runtime.run(module, filename)) return;
  if (filename.endsWith(STACK_TRACE)) {
    module.exports.captureStackTrace = () => [];
    return;
  }
  if (!BARRELS.some((barrel) => filename.endsWith(barrel))) return ordinary(module, filename);
  const resources = resourcesOf(require("node:fs").readFileSync(filename, "utf8"));
  if (!resources) {
    process.stderr.write(`${filename} has an unexpected structure: loading all of it (slow)\n`);
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
