// Runs jsii's kernel in the Node process that Python started.
//
// jsii's own runtime file starts a second Node for the kernel and relays every message between its
// standard streams and the kernel's channel (file descriptor 3). About 4,000 calls would pass both
// processes. Here the kernel runs in the first Node, with the standard streams as its channel. The
// kernel's own output goes to standard error as JSON, as the runtime file would send it.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { Writable } = require("node:stream");

const RUNTIME = path.join("bin", "jsii-runtime.js");
const KERNEL = path.join("..", "lib", "program.js");
// How the known runtime file starts the kernel. Any other file runs unchanged.
const RELAY =
  '"--preserve-symlinks",(0,s.resolve)(__dirname,"..","lib","program.js")],' +
  '{stdio:["ignore","pipe","pipe","pipe"]})';
const CHANNEL = 3;
const SYMLINKS = "--preserve-symlinks";

exports.isRuntime = (filename) => filename.endsWith(RUNTIME);

/** Runs the kernel. Returns false if the file must run normally instead. */
exports.run = (module, filename) => {
  const kernel = path.resolve(path.dirname(filename), KERNEL);
  const isKnown =
    process.env.NODE_OPTIONS?.includes(SYMLINKS) &&
    fs.existsSync(kernel) &&
    fs.readFileSync(filename, "utf8").includes(RELAY);
  if (!isKnown) {
    process.stderr.write(`${filename} has an unexpected structure: using a second Node (slow)\n`);
    return false;
  }
  // The kernel checks this flag before it links to unpacked packages instead of copying them.
  process.execArgv.push(SYMLINKS);
  const { readSync, writeSync } = fs;
  fs.readSync = (fd, ...rest) => readSync(fd === CHANNEL ? 0 : fd, ...rest);
  fs.writeSync = (fd, ...rest) => writeSync(fd === CHANNEL ? 1 : fd, ...rest);
  for (const name of ["stdout", "stderr"]) {
    const write = (chunk, _encoding, done) => {
      writeSync(2, `${JSON.stringify({ [name]: chunk.toString("base64") })}\n`);
      done();
    };
    // Node's own streams must not be created: they would set the channel to non-blocking.
    Object.defineProperty(process, name, { value: new Writable({ write }) });
  }
  module.require(kernel);
  return true;
};
