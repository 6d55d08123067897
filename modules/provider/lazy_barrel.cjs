// Serves the provider's barrel file (one require for each of its two thousand resources) through lazy getters.
// Loaded by `node --require` ahead of jsii's runtime; every other file is left alone.
"use strict";
const Module = require("node:module");
const path = require("node:path");

const BARREL = path.join("@cdktf", "provider-aws", "lib", "index.js");
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
