// Runs jsii's kernel in the Node process that Python started.
//
// jsii's own runtime file starts a second Node with the kernel and passes every message between its own standard streams and that
// one's channel (file descriptor 3), which doubles the way of each of some four thousand calls. Here the kernel runs at once, its channel
// being the standard streams themselves; what it prints goes the way the runtime file would have sent it: as JSON, on standard error.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { Writable } = require("node:stream");

const RUNTIME = path.join("bin", "jsii-runtime.js");
const KERNEL = path.join("..", "lib", "program.js");
// What the runtime file does with the kernel: if it says anything else, it knows better.
const RELAY = '"--preserve-symlinks",(0,s.resolve)(__dirname,"..","lib","program.js")],{stdio:["ignore","pipe","pipe","pipe"]})';
const CHANNEL = 3;
const SYMLINKS = "--preserve-symlinks";

exports.isRuntime = (filename) => filename.endsWith(RUNTIME);

/** Whether it could: false leaves the file to be run the ordinary way. */
exports.run = (module, filename) => {
  const kernel = path.resolve(path.dirname(filename), KERNEL);
  if (!process.env.NODE_OPTIONS?.includes(SYMLINKS) || !fs.existsSync(kernel) || !fs.readFileSync(filename, "utf8").includes(RELAY)) {
    process.stderr.write(`${filename} has another shape than expected: running the kernel behind it, which is slow\n`);
    return false;
  }
  process.execArgv.push(SYMLINKS); // where the kernel looks before it links to unpacked packages instead of copying them
  const { readSync, writeSync } = fs;
  fs.readSync = (fd, ...rest) => readSync(fd === CHANNEL ? 0 : fd, ...rest);
  fs.writeSync = (fd, ...rest) => writeSync(fd === CHANNEL ? 1 : fd, ...rest);
  for (const name of ["stdout", "stderr"]) {
    const write = (chunk, _encoding, done) => {
      writeSync(2, `${JSON.stringify({ [name]: chunk.toString("base64") })}\n`);
      done();
    };
    // Node's own streams are never made: they would set the channel to non-blocking.
    Object.defineProperty(process, name, { value: new Writable({ write }) });
  }
  module.require(kernel);
  return true;
};
