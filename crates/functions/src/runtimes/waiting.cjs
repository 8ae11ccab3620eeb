// Starts Node before it is known for which function: loads what the runtime needs, then waits for the function's
// environment on standard input. When that comes, the code is at /var/task, and all goes on as if Node started now.
"use strict";
const { readFileSync } = require("node:fs");
const net = require("node:net");
require("node:module");
require("node:path");
require("node:util");

const RUNTIME = "/var/runtime/bootstrap.cjs";
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");

function become() {
  const given = readFileSync(0, "utf8");
  if (given === "") process.exit(0); // not needed after all
  const env = new Map(given.split("\0").filter(Boolean).map((line) => {
    const end = line.indexOf("=");
    return [line.slice(0, end), line.slice(end + 1)];
  }));
  for (const name of Object.keys(process.env)) {
    if (!env.has(name) && name !== "HOME") delete process.env[name];
  }
  for (const [name, value] of env) process.env[name] = value;
  process.argv[1] = RUNTIME;
  require(RUNTIME);
}

// The first connection of a process is slow: this one is for practice.
process.stdout.writable;
const practice = net.connect({ host, port: Number(port), noDelay: true }, () => practice.destroy());
practice.on("error", () => {});
practice.on("close", () => setImmediate(become));
