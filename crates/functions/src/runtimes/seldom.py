"""What few starts of a Python function need: logging, errors, and what a caller says of itself. Part of bootstrap.py, which
runs it among its own names when one of these is first asked for.
"""


class Fault(Exception):
    """What is wrong between the platform and the handler, with the type that Lambda gives it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


# What a caller says of itself.


def header_object(headers, header, name):
    try:
        return from_json(headers[header].encode("latin-1"))
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {name} JSON: {error}") from None


def client_context(headers, record):
    class Client(record):
        __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    class ClientContext(record):
        __slots__ = ("custom", "env", "client")

        def __init__(self, known):
            super().__init__(known)
            self.client = None if self.client is None else Client(self.client)

    known = header_object(headers, "lambda-runtime-client-context", "Client Context")
    return None if known is None else ClientContext(known)


# Logging: the root logger gets its handler when a function first imports `logging`.


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
    if setting("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        handler.setFormatter(JsonFormatter())
        handler.addFilter(name_request)
        level = setting("AWS_LAMBDA_LOG_LEVEL") or "INFO"
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
    if setting("AWS_LAMBDA_LOG_FORMAT") == "JSON":
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
