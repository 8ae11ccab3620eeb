"""The Python runtime of dory: loads the handler, then asks the Runtime API (2018-06-01) for one event after the other.

Runs inside the function's sandbox, read-only at /var/runtime/bootstrap.py. What it imports is part of every cold start:
it speaks HTTP over a bare socket and JSON with the interpreter's own accelerator, because the modules `socket`, `json`
and `logging` together take longer to import than the interpreter takes to start. Functions that use them pay for them.
"""

import builtins
import os
import sys
import time
from _sitebuiltins import Quitter

import _json
import _socket

builtins.exit = Quitter("exit", "Ctrl-D")
builtins.quit = Quitter("quit", "Ctrl-D")

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
ROOT = os.environ["LAMBDA_TASK_ROOT"]
BASE = "/2018-06-01/runtime/"

request_id = ""  # of the event in work; the log names it

# What runs may be the compiled file; functions see the one that a person can read.
__file__ = sys._getframe().f_code.co_filename
sys.argv[:] = [__file__]


class Connection:
    """One kept-alive connection to the Runtime API."""

    def __init__(self):
        self.socket = None
        self.rest = b""

    def connect(self):
        self.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self.socket.connect((HOST, int(PORT)))
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.rest = b""

    def call(self, method, target, body=b"", headers=""):
        if self.socket is None:
            self.connect()
        head = f"{method} {BASE}{target} HTTP/1.1\r\nHost: {HOST}:{PORT}\r\n{headers}"
        if method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        try:
            self.socket.sendall(head.encode("latin-1", "replace") + b"\r\n" + body)
        except ConnectionError:
            pass  # An answer may stand there already: what was sent was too much.
        return self.receive()

    def receive(self):
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            self.more()
        lines = self.rest[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        begin, length = end + 4, int(headers.get("content-length", 0))
        if len(self.rest) < begin + length:
            parts, missing = [self.rest[begin:]], begin + length - len(self.rest)
            while missing > 0:
                self.rest = b""
                self.more(missing)
                parts.append(self.rest)
                missing -= len(self.rest)
            body, self.rest = b"".join(parts), b""
        else:
            body, self.rest = self.rest[begin:begin + length], self.rest[begin + length:]
        if headers.get("connection") == "close":
            self.socket.close()
            self.socket = None
        return headers, body

    def more(self, size=65536):
        data = self.socket.recv(max(min(size, 1 << 20), 4096))
        if not data:
            raise ConnectionError("the Runtime API closed the connection")
        self.rest += data


class Fault(Exception):
    """What is wrong between the platform and the handler, with the type that Lambda gives it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


# JSON: what the module `json` does with its accelerator, without its regular expressions.


class Scanner:
    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__
    memo = {}


scan = _json.make_scanner(Scanner())


def from_json(body):
    text = body.decode().strip(" \t\n\r")
    try:
        value, end = scan(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    import json  # It fails too, and says where.

    return json.loads(text)


def encoder(texts):
    raw = {}  # numbers that no type of the accelerator holds exactly, by what stands for them

    def other(value):
        decimal = sys.modules.get("decimal")
        if decimal and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            stand_in = f"\ue000{id(raw)}.{len(raw)}\ue000"
            raw[texts(stand_in)] = str(value)
            return stand_in
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    def encode(value):
        encoded = "".join(_json.make_encoder({}, other, texts, None, ": ", ", ", False, False, True)(value, 0))
        while raw:
            stand_in, number = raw.popitem()
            encoded = encoded.replace(stand_in, number)
        return encoded.encode("utf-8", "surrogatepass")

    return encode


# Up to Python 3.11 Lambda writes \u escapes.
to_json = encoder(_json.encode_basestring_ascii if sys.version_info < (3, 12) else _json.encode_basestring)


def marshal(result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return to_json(result), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def unmarshal(body):
    try:
        return from_json(body)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


# The context.


class Record:
    """Named fields out of a JSON object; what it lacks is None."""

    __slots__ = ()

    def __init__(self, known):
        for name in self.__slots__:
            setattr(self, name, known.get(name))

    def __repr__(self):
        fields = ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}([{fields}])"


class CognitoIdentity(Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Record):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Record):
    __slots__ = ("custom", "env", "client")

    def __init__(self, known):
        super().__init__(known)
        self.client = None if self.client is None else Client(self.client)


def header_object(headers, header, name):
    if not headers.get(header):
        return None
    try:
        return from_json(headers[header].encode("latin-1"))
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {name} JSON: {error}") from None


class LambdaContext:
    """What the handler gets as its second argument."""

    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        client = header_object(headers, "lambda-runtime-client-context", "Client Context")
        self.client_context = None if client is None else ClientContext(client)
        identity = header_object(headers, "lambda-runtime-cognito-identity", "Cognito Identity") or {}
        self.identity = CognitoIdentity({
            "cognito_identity_id": identity.get("cognitoIdentityId"),
            "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
        })
        self._epoch_deadline_time_in_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return f"LambdaContext([{','.join(f'{name}={getattr(self, name)}' for name in names)}])"


# Logging: the root logger gets its handler when a function first imports `logging`.


class LoggingFinder:
    """Stands first in line for every import until it has seen the one of `logging`."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(LoggingFinder)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            set_up_logging(module)

        spec.loader.exec_module = exec_module
        return spec


def set_up_logging(logging):
    if not hasattr(logging, "getLogger"):
        return  # A module of the function's own by this name.

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            sys.stdout.write(self.format(record))

    def name_request(record):
        record.aws_request_id = request_id
        return True

    class JsonFormatter(logging.Formatter):
        """One object per record: what is known of it, its error, and what the function added."""

        known = set(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"aws_request_id", "message", "asctime"}

        def format(self, record):
            document = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[1]:
                error = describe(record.exc_info[1])
                document.update({name: error[name] for name in ("stackTrace", "errorType", "errorMessage")})
                document["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
            document["requestId"] = record.aws_request_id
            document.update({name: value for name, value in vars(record).items() if name not in self.known})
            return json_line(document)

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        handler.setFormatter(JsonFormatter())
        handler.addFilter(name_request)
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO")
        logging.getLogger().setLevel({"TRACE": 5, "FATAL": logging.CRITICAL}.get(level, level))
        logging.getLogger().addHandler(handler)
        return
    line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
    handler.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(name_request)
    logging.getLogger().addHandler(handler)


# Errors.


def describe(error, id=""):
    """The error document: message, type, and the stack without this file's own frames."""
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        import traceback

        frames = traceback.extract_tb(error.__traceback__)
        while frames and frames[0].filename == __file__:
            del frames[0]
        kind, trace = type(error).__name__, traceback.format_list(frames)
    return {"errorMessage": str(error), "errorType": kind, "requestId": id, "stackTrace": trace}


def json_line(document):
    import json

    return json.dumps(document, default=str, ensure_ascii=False) + "\n"


def report(document):
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stdout.write(json_line({"timestamp": now, "log_level": "ERROR", **document}))
        return
    first = f"[ERROR] {document['errorType']}"
    if document["errorMessage"]:
        first += f": {document['errorMessage']}"
    lines = [first, "Traceback (most recent call last):"]
    for entry in document["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    # One event in the log, however many lines: a carriage return keeps them together.
    sys.stdout.write("\r".join(lines) + "\n")


def send_error(connection, target, document):
    kind = "".join(letter if " " <= letter < "\x7f" else "?" for letter in document["errorType"])
    headers = f"Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: {kind}\r\n"
    connection.call("POST", target, to_json(document), headers)


# The life of an instance.


def load(named):
    try:
        module_name, function = named.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{named}': {error}") from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = __import__(module_name.replace("/", "."), fromlist=["_"])
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        message = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from error
    try:
        return getattr(module, function)
    except AttributeError:
        message = f"Handler '{function}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from None


def init(connection):
    try:
        return load(os.environ["_HANDLER"])
    except Exception as error:
        document = describe(error)
    report(document)
    sys.stdout.flush()
    send_error(connection, "init/error", document)
    sys.exit(1)


def serve(connection, handler):
    global request_id
    while True:
        headers, body = connection.call("GET", "invocation/next")
        request_id = headers["lambda-runtime-aws-request-id"]
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            context = LambdaContext(headers)
            result, kind = marshal(handler(unmarshal(body), context))
        except Exception as error:
            document = describe(error, request_id)
            report(document)
            sys.stdout.flush()
            send_error(connection, f"invocation/{request_id}/error", document)
        else:
            sys.stdout.flush()
            connection.call("POST", f"invocation/{request_id}/response", result, f"Content-Type: {kind}\r\n")


def main():
    sys.stdout.reconfigure(errors="backslashreplace")
    os.chdir(ROOT)
    layers = [f"/opt/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages", "/opt/python"]
    sys.path[:0] = [ROOT, *(layer for layer in layers if os.path.isdir(layer))]
    sys.meta_path.insert(0, LoggingFinder)
    connection = Connection()
    serve(connection, init(connection))


main()
