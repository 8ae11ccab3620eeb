// The Node runtime of dory: loads the handler, then asks the Runtime API (2018-06-01) for one event after the other.
// Runs inside the function's sandbox, read-only at /var/runtime/bootstrap.mjs.
import http from "node:http";
import path from "node:path";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const root = process.env.LAMBDA_TASK_ROOT;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const FATAL = 1;

let requestId; // of the event in work; names it in every line that is logged

function call(method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? 0 : Buffer.byteLength(body);
    const all = method === "POST" ? { ...headers, "Content-Length": length } : headers;
    const request = http.request({ agent, host, port, method, path: `/2018-06-01/runtime/${target}`, headers: all });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, text: Buffer.concat(chunks).toString("utf8") }));
      response.on("error", reject);
    });
    request.end(body);
  });
}

// console: one line each, with time, request id and level, as the log processors of Lambda expect.
function log(level, text) {
  const line = text.replaceAll("\n", "\r");
  process.stdout.write(`${new Date().toISOString()}\t${requestId ?? "undefined"}\t${level}\t${line}\n`);
}
for (const [name, level] of [["log", "INFO"], ["info", "INFO"], ["debug", "DEBUG"], ["trace", "TRACE"],
  ["warn", "WARN"], ["error", "ERROR"], ["fatal", "FATAL"]]) {
  console[name] = (...values) => log(level, format(...values));
}

class RuntimeError extends Error {
  constructor(name, message, cause) {
    super(message);
    this.name = name;
    if (cause?.stack) this.stack = cause.stack;
  }
}

// What callers get: type, message and the stack, line by line. Anything may be thrown, not only errors.
function describe(thrown) {
  if (!(thrown instanceof Error) && !(thrown?.name && thrown?.message)) {
    return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
  }
  return {
    errorType: thrown.name ?? "Error",
    errorMessage: String(thrown.message),
    trace: String(thrown.stack ?? "").split("\n"),
  };
}

function logThrown(title, thrown) {
  const { errorType, errorMessage, trace } = describe(thrown);
  const own = thrown instanceof Error ? Object.fromEntries(Object.entries(thrown)) : {};
  log("ERROR", `${title}\t${JSON.stringify({ errorType, errorMessage, ...own, stack: trace })}`);
}

async function initFailed(thrown) {
  logThrown("Uncaught Exception ", thrown);
  const document = describe(thrown);
  await call("POST", "init/error", JSON.stringify(document), {
    "Content-Type": "application/json",
    "Lambda-Runtime-Function-Error-Type": document.errorType,
  }).catch(() => {});
  process.exit(FATAL);
}

async function load(named) {
  const match = /^(.*\/)?([^/.]*)\.(.+)$/.exec(named);
  if (!match || named.includes("..")) throw new RuntimeError("Runtime.MalformedHandlerName", "Bad handler");
  const [, folder = "", file, exported] = match;
  const stem = path.resolve(root, folder, file);
  const module = await importModule(stem, `${folder}${file}`);
  let handler = module;
  for (const part of exported.split(".")) handler = handler?.[part] ?? handler?.default?.[part];
  if (handler === undefined) {
    throw new RuntimeError("Runtime.HandlerNotFound", `${named} is undefined or not exported`);
  }
  if (typeof handler !== "function") throw new RuntimeError("Runtime.HandlerNotFound", `${named} is not a function`);
  return handler;
}

async function importModule(stem, named) {
  try {
    const require = createRequire(path.join(root, "index.js"));
    const found = ["", ".js", ".mjs", ".cjs"].map((end) => stem + end).find((file) => existsSync(file));
    if (found?.endsWith(".cjs") || (found?.endsWith(".js") && !isModule(found))) return require(found);
    if (found?.endsWith(".mjs") || found?.endsWith(".js")) return await import(pathToFileURL(found));
    return require(found ?? named);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) throw new RuntimeError("Runtime.UserCodeSyntaxError", String(thrown), thrown);
    if (["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(thrown?.code)) {
      throw new RuntimeError("Runtime.ImportModuleError", String(thrown), thrown);
    }
    throw thrown;
  }
}

// The nearest package.json decides what a plain `.js` is.
function isModule(file) {
  const require = createRequire(file);
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, "package.json");
    if (existsSync(manifest)) return require(manifest).type === "module";
    if (folder === root || folder === path.dirname(folder)) return false;
  }
}

const env = process.env;
function contextOf(headers, settle) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const parse = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse("lambda-runtime-client-context"),
    identity: parse("lambda-runtime-cognito-identity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: requestId,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: (error, result) => settle(error, result),
    fail: (error) => settle(error ?? "handled"),
    succeed: (result) => settle(null, result),
  };
}

// An async handler answers by its promise; a plain one by its callback, and then, unless it says otherwise, only when
// nothing is left to do.
let emptied; // what waits for an empty event loop
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const settle = (error, result) => {
      const finish = error === null || error === undefined ? () => resolve(result) : () => reject(error);
      if (context.callbackWaitsForEmptyEventLoop && settle.byCallback) emptied = finish;
      else finish();
    };
    const context = contextOf(headers, settle);
    const callback = (error, result) => {
      settle.byCallback = true;
      settle(error, result);
    };
    const returned = handler(event, context, callback);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
    else if (handler.length < 3) emptied ??= () => resolve(null);
  });
}
process.on("beforeExit", () => {
  const finish = emptied ?? pending;
  emptied = undefined;
  finish?.();
});
let pending; // an async handler whose promise nothing can settle any more answers null, as on Lambda

async function serve(handler) {
  for (;;) {
    requestId = undefined;
    const { headers, text } = await call("GET", "invocation/next");
    requestId = headers["lambda-runtime-aws-request-id"];
    if (headers["lambda-runtime-trace-id"]) env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"];
    else delete env._X_AMZN_TRACE_ID;
    const target = `invocation/${requestId}`;
    try {
      emptied = undefined;
      const answered = run(handler, JSON.parse(text), headers);
      const result = await Promise.race([answered, new Promise((resolve) => { pending = () => resolve(null); })]);
      const body = JSON.stringify(result === undefined ? null : result) ?? "null";
      await call("POST", `${target}/response`, body, { "Content-Type": "application/json" });
    } catch (thrown) {
      logThrown("Invoke Error ", thrown);
      const document = describe(thrown);
      await call("POST", `${target}/error`, JSON.stringify(document), {
        "Content-Type": "application/json",
        "Lambda-Runtime-Function-Error-Type": document.errorType,
      });
    }
  }
}

async function fatal(title, thrown) {
  logThrown(title, thrown);
  const document = describe(thrown);
  if (requestId) {
    await call("POST", `invocation/${requestId}/error`, JSON.stringify(document), {
      "Content-Type": "application/json",
      "Lambda-Runtime-Function-Error-Type": document.errorType,
    }).catch(() => {});
  }
  process.exit(FATAL);
}
process.on("uncaughtException", (thrown) => fatal("Uncaught Exception ", thrown));
process.on("unhandledRejection", (reason) => fatal("Unhandled Promise Rejection ",
  new RuntimeError("Runtime.UnhandledPromiseRejection", String(reason), reason)));

process.chdir(root);
let handler;
try {
  handler = await load(env._HANDLER);
} catch (thrown) {
  await initFailed(thrown);
}
await serve(handler);
