// The Node runtime of dory: loads the handler, then asks the Runtime API (2018-06-01) for one event after the other.
// Runs inside the function's sandbox, read-only at /var/runtime/bootstrap.cjs. What it loads is part of every cold start:
// it is CommonJS and speaks HTTP over a plain socket, because node:http and the loader of ES modules take milliseconds.
"use strict";
const net = require("node:net");
const path = require("node:path");
const { existsSync, readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

const env = process.env;
const [host, port] = env.AWS_LAMBDA_RUNTIME_API.split(":");
const root = env.LAMBDA_TASK_ROOT;
// Since Node.js 24 handlers are async and a context has no callbacks.
const modern = Number(/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV ?? "")?.[1] ?? 0) >= 24;
const REQUEST_ID = Symbol.for("aws.lambda.runtime.requestId"); // names the event in work in every line that is logged
const EXIT_REJECTION = 128;
const EXIT_EXCEPTION = 129;
const TOGETHER_MAX = 65536; // of an answer that is sent together with the wish for the next event

// ---- The Runtime API: one connection, one call at a time.

let socket; // to write to; undefined until the first call, and after the platform has closed it
let reader; // the same, or the pipe that answers come through
let waiting; // the call that has no answer yet
let unheeded = 0; // answers before that one, which only say that all is well
let received = Buffer.alloc(0);
let pipes = env._DORY_RUNTIME_API_FDS?.split(",").map(Number); // handed over; not for what a function starts
delete env._DORY_RUNTIME_API_FDS;

// What to write to and what to read from.
function open() {
  if (pipes === undefined) {
    const connection = net.connect({ host, port: Number(port), noDelay: true });
    return [connection, connection];
  }
  const [answers, requests] = pipes;
  pipes = undefined;
  const writer = new net.Socket({ fd: requests, readable: false, writable: true });
  writer.unref();
  return [writer, new net.Socket({ fd: answers, readable: true, writable: false })];
}

function connect() {
  const [fresh, answers] = open();
  const lost = (error) => {
    if (socket !== fresh) return;
    socket = undefined;
    received = Buffer.alloc(0);
    unheeded = 0;
    waiting?.reject(error ?? new Error("the Runtime API closed the connection"));
    waiting = undefined;
  };
  answers.on("data", (chunk) => {
    if (socket !== fresh) return;
    received = received.length ? Buffer.concat([received, chunk]) : chunk;
    readAnswer();
  });
  // An answer may come before all was sent, when what was sent is too much.
  fresh.on("error", (error) => (answers.readable ? setImmediate(lost, error) : lost(error)));
  answers.on("close", () => lost());
  [socket, reader] = [fresh, answers];
  received = Buffer.alloc(0);
  unheeded = 0;
}

function readAnswer() {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return;
  const [status, ...lines] = received.toString("latin1", 0, end).split("\r\n");
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const begin = end + 4;
  const length = Number(headers["content-length"] ?? 0);
  if (received.length < begin + length) return;
  const body = received.subarray(begin, begin + length);
  received = received.subarray(begin + length);
  if (unheeded > 0) {
    unheeded -= 1;
    return readAnswer();
  }
  const answered = waiting;
  waiting = undefined;
  if (headers.connection === "close") {
    socket.destroy();
    reader.destroy();
    socket = undefined;
    received = Buffer.alloc(0);
  }
  answered?.resolve({ status: Number(status.split(" ")[1]), headers, body });
}

// Waits for the answer to what is being sent. Whether the process lives meanwhile is the reader's to say.
function answer() {
  return new Promise((resolve, reject) => {
    waiting = { resolve, reject };
  }).finally(() => reader?.unref());
}

function head(method, target, headers) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} /2018-06-01/runtime/${target} HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines.join("")}\r\n`;
}

function call(method, target, body = "", headers = {}) {
  if (!socket) connect();
  const length = method === "POST" ? { "Content-Length": Buffer.byteLength(body) } : {};
  const answered = answer();
  reader.ref();
  socket.cork();
  socket.write(head(method, target, { ...headers, ...length }), "latin1");
  if (body) socket.write(body);
  socket.uncork();
  return answered;
}

// Sends a short answer together with the wish for the next event, for which it waits: the platform wakes this process once.
function answerAndAsk(id, result) {
  if (!socket) connect();
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(result) };
  socket.cork();
  socket.write(head("POST", `invocation/${id}/response`, headers) + result);
  unheeded += 1;
  const next = call("GET", "invocation/next");
  socket.uncork();
  return next;
}

function postError(target, thrown) {
  const document = describe(thrown);
  return call("POST", target, JSON.stringify(document), {
    "Content-Type": "application/json",
    "Lambda-Runtime-Function-Error-Type": document.errorType.replace(/[^ -~]/g, "?"),
  });
}

// ---- console: one line each, with time, request id and level, as the log processors of Lambda expect.

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

// What is logged with LogFormat JSON: one value as it is, several as one text, and what is known of an error.
function jsonLine(level, values) {
  const line = { timestamp: new Date().toISOString(), level, requestId: globalThis[REQUEST_ID] };
  const known = (error) => ({
    errorType: error.name, errorMessage: error.message, stackTrace: String(error.stack).split("\n"), ...error,
  });
  const unfold = (_, value) => {
    if (value instanceof Error) return known(value);
    return typeof value === "bigint" ? String(value) : value;
  };
  if (values.length === 1) {
    try {
      return JSON.stringify({ ...line, message: values[0] }, unfold);
    } catch {
      // Such as an object that holds itself: as text, then.
    }
  }
  const error = values.length > 1 && values.find((value) => value instanceof Error);
  return JSON.stringify({ ...line, message: format(...values), ...(error ? known(error) : {}) }, unfold);
}

let format; // node:util is loaded by the first line
function log(level, values) {
  format ??= require("node:util").format;
  if (process.env.AWS_LAMBDA_LOG_FORMAT === "JSON") {
    const least = LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL);
    if (LEVELS.indexOf(level) >= least) process.stdout.write(`${jsonLine(level, values)}\n`);
    return;
  }
  const line = format(...values).replaceAll("\n", "\r");
  process.stdout.write(`${new Date().toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${line}\n`);
}
for (const [name, level] of [["log", "INFO"], ["info", "INFO"], ["debug", "DEBUG"], ["trace", "TRACE"],
  ["warn", "WARN"], ["error", "ERROR"], ["fatal", "FATAL"]]) {
  console[name] = (...values) => log(level, values);
}

// ---- Errors.

class RuntimeError extends Error {
  constructor(name, message, more) {
    super(message);
    Object.defineProperty(this, "name", { value: `Runtime.${name}` });
    // The stack names the error, and it was made before this one had its name.
    this.stack = more?.stack ?? this.stack.replace(/^Error/, this.name);
    if (more && !more.stack) Object.assign(this, more);
  }
}

// What callers get: type, message and the stack, line by line. Anything may be thrown, not only errors.
function describe(thrown) {
  try {
    const text = (name) => typeof thrown?.[name] === "string";
    if (thrown instanceof Error || (text("name") && text("message") && text("stack"))) {
      const clean = (value) => String(value).replaceAll("\x7F", "%7F");
      return {
        errorType: clean(thrown.name),
        errorMessage: clean(thrown.message),
        trace: thrown.stack === undefined ? [] : clean(thrown.stack).split("\n"),
      };
    }
    return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
  } catch {
    return {
      errorType: "handled",
      errorMessage: "callback called with Error argument, but there was a problem while retrieving one or more of its " +
        "message, name, and stack",
      trace: [],
    };
  }
}

// What the log gets: the same, and whatever else the error carries.
function logThrown(title, thrown) {
  if (process.env.AWS_LAMBDA_LOG_FORMAT === "JSON") return console.error(thrown);
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const unfold = (_, value) => {
    if (!(value instanceof Error)) return value;
    const all = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    return typeof value.stack === "string" ? { ...all, stack: value.stack.split("\n") } : all;
  };
  let text;
  try {
    text = JSON.stringify(error, unfold);
  } catch {
    text = JSON.stringify(describe(error));
  }
  console.error(title, `\t${text}`);
}

// ---- Streamed responses.

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const TRAILER_LENGTH_MAX = 10000;
const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");

if (!["1", "true"].includes(env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) {
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = "response";
      if (typeof options?.highWaterMark === "number") handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream: class HttpResponseStream {
      // A response with status and headers: they go ahead of the body as JSON, with eight NUL bytes behind.
      static from(stream, prelude) {
        stream.setContentType("application/vnd.awslambda.http-integration-response");
        const text = JSON.stringify(prelude);
        stream._onBeforeFirstWrite = (write) => {
          write(text);
          write(new Uint8Array(8));
        };
        return stream;
      }
    },
  };
}

// The body of a response, sent in chunks as the handler writes it. `answered` is the platform's answer to the whole.
function responseStream(id, highWaterMark) {
  const { Writable } = require("node:stream");
  let begun; // the platform's answer, once the head is sent
  let contentType = "application/octet-stream";
  const begin = () => {
    if (begun) return;
    if (!socket) connect();
    begun = answer();
    reader.unref(); // until the end: a handler that never ends its stream is found out when nothing else is left
    begun.catch((error) => stream.destroy(error));
    socket.write(head("POST", `invocation/${id}/response`, {
      "Content-Type": contentType,
      "Lambda-Runtime-Function-Response-Mode": "streaming",
      "Transfer-Encoding": "chunked",
      Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    }), "latin1");
    const before = stream._onBeforeFirstWrite;
    if (typeof before === "function") before((chunk) => send(Buffer.from(chunk)));
  };
  const send = (chunk, done) => {
    if (!chunk.length) return done?.();
    if (!socket) return done?.(new Error("the Runtime API closed the connection"));
    socket.cork();
    socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
    socket.write(chunk);
    socket.write("\r\n", "latin1", done);
    socket.uncork();
  };
  let trailers = ""; // what went wrong follows the body
  const finish = (done) => {
    begin();
    reader?.ref();
    socket?.write(`0\r\n${trailers}\r\n`, "latin1");
    begun.then(() => done(), done);
  };
  const stream = new Writable({
    highWaterMark,
    write(chunk, encoding, done) {
      begin();
      send(chunk, done);
    },
    final: finish,
  });
  const write = stream.write;
  stream.write = (chunk, ...more) => {
    const plain = typeof chunk === "string" || chunk instanceof Uint8Array;
    return write.call(stream, plain ? chunk : JSON.stringify(chunk), ...more);
  };
  stream.setContentType = (type) => {
    if (begun) throw new RuntimeError("InvalidStreamingOperation", "Cannot set content-type, too late.");
    contentType = type;
  };
  const fail = (thrown) => new Promise((resolve) => {
    let document = describe(thrown);
    // All trailers together may have 16 KB.
    if (Buffer.byteLength(JSON.stringify(document)) > TRAILER_LENGTH_MAX) {
      document = { ...document, errorMessage: document.errorMessage.slice(0, TRAILER_LENGTH_MAX / 8), trace: [] };
    }
    trailers = `Lambda-Runtime-Function-Error-Type: ${document.errorType.replace(/[^ -~]/g, "?")}\r\n` +
      `Lambda-Runtime-Function-Error-Body: ${Buffer.from(JSON.stringify(document)).toString("base64")}\r\n`;
    stream.on("error", () => resolve());
    if (stream.writableFinished || (begun && !socket)) resolve();
    else if (stream.destroyed) finish(() => resolve());
    else if (stream.writableEnded) stream.on("finish", resolve);
    else stream.end(resolve);
  });
  return { stream, fail };
}

async function stream(handler, event, id, context) {
  const { stream, fail } = responseStream(id, handler[HIGH_WATER_MARK]);
  const finished = new Promise((resolve, reject) => {
    stream.on("finish", resolve);
    stream.on("error", reject);
  });
  finished.catch(() => {});
  try {
    const returned = handler(event, stream, context);
    if (typeof returned?.then !== "function") throw "Streaming does not support non-async handlers.";
    const idle = new Promise((resolve) => { emptied = resolve; });
    const work = Promise.resolve(returned).then((result) => {
      if (result !== undefined) console.warn("Streaming handlers ignore return values.");
      return finished;
    });
    await Promise.race([work, idle]);
    if (!stream.writableFinished) throw "Response stream is not finished.";
    // What the handler left behind is part of its work.
    if (!modern && context.callbackWaitsForEmptyEventLoop) await idle;
  } catch (thrown) {
    logThrown("Invoke Error", thrown);
    await fail(thrown);
  } finally {
    emptied = undefined;
  }
}

// ---- Loading the handler.

async function load(named) {
  if (named.includes("..")) {
    throw new RuntimeError("MalformedHandlerName", `'${named}' is not a valid handler name. Use absolute paths when ` +
      "specifying root directories in handler names.");
  }
  const base = path.basename(named);
  const folder = named.slice(0, named.indexOf(base));
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new RuntimeError("MalformedHandlerName", "Bad handler");
  const module = await importModule(folder, match[1]);
  const handler = match[2].split(".").reduce((nested, key) => nested?.[key], module);
  if (!handler) throw new RuntimeError("HandlerNotFound", `${named} is undefined or not exported`);
  if (typeof handler !== "function") throw new RuntimeError("HandlerNotFound", `${named} is not a function`);
  if (modern && handler.length >= 3 && !handler[STREAMING]) {
    throw new RuntimeError("CallbackHandlerDeprecated", "ERROR: Lambda has removed support for callback-based function " +
      "handlers starting with Node.js 24. Make this function's handler async to use Node.js 24 or later.");
  }
  return handler;
}

async function importModule(folder, name) {
  const stem = path.resolve(root, folder, name);
  try {
    const found = ["", ".js", ".mjs", ".cjs", ...(modern ? [".ts", ".mts", ".cts"] : [])]
      .map((end) => stem + end).find((file) => existsSync(file) && (file !== stem || path.extname(file) === ""));
    const require = createRequire(path.join(root, "index.js"));
    if (!found) return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
    const end = path.extname(found);
    const module = end.startsWith(".m") || (!end.startsWith(".c") && end !== "" && isModule(path.dirname(found)));
    return module ? await import(found) : require(found);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) throw new RuntimeError("UserCodeSyntaxError", String(thrown), thrown);
    if (thrown?.code === "MODULE_NOT_FOUND") throw new RuntimeError("ImportModuleError", String(thrown));
    throw thrown;
  }
}

// The nearest package.json decides what a plain `.js` is.
function isModule(folder) {
  for (; !folder.endsWith("/node_modules"); folder = path.dirname(folder)) {
    const manifest = path.join(folder, "package.json");
    if (existsSync(manifest)) {
      try {
        return JSON.parse(readFileSync(manifest, "utf8"))?.type === "module";
      } catch (error) {
        console.warn(`${manifest} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (folder === path.dirname(folder)) return false;
  }
  return false;
}

// ---- One event after the other.

function contextOf(headers, settle) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const parse = (header, name) => {
    if (headers[header] === undefined) return undefined;
    try {
      return JSON.parse(Buffer.from(headers[header], "latin1").toString("utf8"));
    } catch (error) {
      throw new Error(`Cannot parse ${name} as json: ${error}`);
    }
  };
  const context = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse("lambda-runtime-client-context", "ClientContext"),
    identity: parse("lambda-runtime-cognito-identity", "CognitoIdentity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    tenantId: headers["lambda-runtime-aws-tenant-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  if (modern) return context;
  const old = { callbackWaitsForEmptyEventLoop: true };
  if (settle) {
    old.succeed = (result) => settle(null, result);
    old.fail = (error) => settle(error ?? "handled");
    old.done = settle;
  }
  return { ...old, ...context };
}

// What waits for the event loop to run empty: nothing but the platform could go on then.
let emptied;
process.on("beforeExit", () => {
  const go = emptied;
  emptied = undefined;
  go?.();
});

// An async handler answers by its promise, a plain one by its callback; and a callback's result waits, unless the
// handler says otherwise, until nothing is left to do.
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const settle = (error, result) => (error === null || error === undefined ? resolve(result) : reject(error));
    const context = contextOf(headers, settle);
    const callback = (error, result) => {
      if ((error === null || error === undefined) && context.callbackWaitsForEmptyEventLoop) {
        emptied = () => setImmediate(resolve, result);
      } else settle(error, result);
    };
    const never = "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by " +
      "a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html" +
      "#exit-codes";
    const async = modern || handler.constructor.name === "AsyncFunction";
    emptied = () => (async ? reject(new RuntimeError("NodeJsExit", never)) : resolve(null));
    const returned = handler(event, context, callback);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
    else if (modern) resolve(returned);
  }).finally(() => {
    emptied = undefined;
  });
}

async function serve(handler) {
  let next;
  for (;;) {
    const { headers, body } = await (next ?? call("GET", "invocation/next"));
    next = undefined;
    const id = headers["lambda-runtime-aws-request-id"];
    if (!id) return process.exit(0); // the instance is being stopped
    globalThis[REQUEST_ID] = id;
    if (headers["lambda-runtime-trace-id"]) env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"];
    else delete env._X_AMZN_TRACE_ID;
    if (handler[STREAMING] === "response") {
      await stream(handler, JSON.parse(body), id, contextOf(headers));
      continue;
    }
    try {
      const result = encode(await run(handler, JSON.parse(body), headers));
      // Behind a large one the platform may close the connection.
      if (result.length <= TOGETHER_MAX) next = answerAndAsk(id, result);
      else await call("POST", `invocation/${id}/response`, result, { "Content-Type": "application/json" });
    } catch (thrown) {
      logThrown("Invoke Error", thrown);
      await postError(`invocation/${id}/error`, thrown);
    }
  }
}

function encode(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? "null";
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

// Nobody caught it: it is the answer to the event in work, if there is one, and the end of the process.
async function fatal(title, thrown, code) {
  logThrown(title, thrown);
  const id = globalThis[REQUEST_ID];
  if (waiting) socket = undefined; // another call is under way on that connection
  await postError(id ? `invocation/${id}/error` : "init/error", thrown).catch(() => {});
  process.exit(code);
}
process.on("uncaughtException", (thrown) => fatal("Uncaught Exception", thrown, EXIT_EXCEPTION));
process.on("unhandledRejection", (reason, promise) => {
  const error = new RuntimeError("UnhandledPromiseRejection", String(reason), { reason, promise });
  fatal("Unhandled Promise Rejection", error, EXIT_REJECTION);
});

process.chdir(root);
load(env._HANDLER).then(serve).catch((thrown) => fatal("Uncaught Exception", thrown, EXIT_EXCEPTION));
