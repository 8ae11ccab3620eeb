"""The Python runtime of dory: loads the handler, then asks the Runtime API (2018-06-01) for one event after the other.

Runs inside the function's sandbox, read-only at /var/runtime/bootstrap.py. It speaks HTTP over a plain socket: importing
http.client alone would take longer than the rest of a cold start.
"""

import builtins
import json
import os
import socket
import sys
import time
from _sitebuiltins import Quitter

builtins.exit = Quitter("exit", "Ctrl-D")
builtins.quit = Quitter("quit", "Ctrl-D")

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
ROOT = os.environ["LAMBDA_TASK_ROOT"]
BASE = "/2018-06-01/runtime/"


class Connection:
    """One kept-alive connection to the Runtime API."""

    def __init__(self):
        self.socket = socket.create_connection((HOST, int(PORT)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def call(self, method, target, body=b"", headers=None):
        lines = [f"{method} {BASE}{target} HTTP/1.1", f"Host: {HOST}:{PORT}"]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        status = self.reader.readline()
        if not status:
            raise ConnectionError("the Runtime API closed the connection")
        answered = {}
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            answered[name.strip().lower()] = value.strip()
        return answered, self.reader.read(int(answered.get("content-length", 0)))


class CognitoIdentity:
    def __init__(self, known):
        self.cognito_identity_id = known.get("cognitoIdentityId")
        self.cognito_identity_pool_id = known.get("cognitoIdentityPoolId")


class Client:
    def __init__(self, known):
        for ours, theirs in (
            ("installation_id", "installation_id"),
            ("app_title", "app_title"),
            ("app_version_name", "app_version_name"),
            ("app_version_code", "app_version_code"),
            ("app_package_name", "app_package_name"),
        ):
            setattr(self, ours, known.get(theirs))


class ClientContext:
    def __init__(self, known):
        self.custom = known.get("custom")
        self.env = known.get("env")
        self.client = Client(known["client"]) if known.get("client") else None


class Context:
    """What the handler gets as its second argument."""

    def __init__(self, headers):
        self._deadline_ms = int(headers["lambda-runtime-deadline-ms"])
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        known = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(json.loads(known)) if known else None
        self.identity = CognitoIdentity(json.loads(headers.get("lambda-runtime-cognito-identity") or "{}"))

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


class InitError(Exception):
    """Why the handler could not be loaded, with the type that Lambda gives it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.trace = trace or []


def load(named):
    if "." not in named:
        raise InitError("Runtime.MalformedHandlerName", f"Bad handler '{named}': not enough values to unpack "
                        "(expected 2, got 1)")
    module_name, _, function = named.rpartition(".")
    try:
        module = __import__(module_name.replace("/", "."), fromlist=["_"])
    except ImportError as error:
        raise InitError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise InitError("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace) from error
    handler = getattr(module, function, None)
    if handler is None:
        raise InitError("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'")
    return handler


def describe(error, request_id=None):
    """The error document: type, message, and the stack without this file's own frames."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename == __file__:
        del frames[0]
    document = {"errorMessage": str(error), "errorType": type(error).__name__}
    if request_id:
        document["requestId"] = request_id
    document["stackTrace"] = traceback.format_list(frames)
    return document


def report(document):
    lines = [f"[ERROR] {document['errorType']}: {document['errorMessage']}"]
    if document["stackTrace"]:
        lines += ["Traceback (most recent call last):", *(line.rstrip("\n") for line in document["stackTrace"])]
    # One event in the log, however many lines: a carriage return keeps them together.
    print("\r".join(line.replace("\n", "\r") for line in lines), flush=True)


def send_error(connection, target, document):
    body = json.dumps(document).encode()
    connection.call("POST", target, body, {
        "Content-Type": "application/json",
        "Lambda-Runtime-Function-Error-Type": document["errorType"],
    })


def init(connection):
    try:
        return load(os.environ["_HANDLER"])
    except InitError as error:
        document = {"errorMessage": str(error), "errorType": error.kind, "requestId": "", "stackTrace": error.trace}
    except Exception as error:
        document = describe(error, "")
    report(document)
    send_error(connection, "init/error", document)
    sys.exit(1)


def encode(result):
    try:
        return json.dumps(result, default=refuse).encode()
    except (TypeError, ValueError) as error:
        raise MarshalError(f"Unable to marshal response: {error}") from None


def refuse(value):
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


class MarshalError(Exception):
    pass


MarshalError.__name__ = "Runtime.MarshalError"


def serve(connection, handler):
    while True:
        headers, body = connection.call("GET", "invocation/next")
        request_id = headers["lambda-runtime-aws-request-id"]
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            result = encode(handler(json.loads(body), Context(headers)))
        except Exception as error:
            document = describe(error, request_id)
            report(document)
            sys.stdout.flush()
            send_error(connection, f"invocation/{request_id}/error", document)
        else:
            sys.stdout.flush()
            connection.call("POST", f"invocation/{request_id}/response", result, {"Content-Type": "application/json"})


def main():
    os.chdir(ROOT)
    sys.path.insert(0, ROOT)
    connection = Connection()
    serve(connection, init(connection))


main()
