"""The Python runtime of dory: loads the handler, then asks the Runtime API (2018-06-01) for one event after the other.

Runs inside the function's sandbox, read-only at /var/runtime/bootstrap.py. What it imports is part of every cold start:
it speaks HTTP over a bare descriptor and JSON with the interpreter's own accelerator, because the modules `os`, `socket`,
`json` and `logging` together take longer to import than the interpreter takes to start. Functions that use them pay for
them. What few starts need is in seldom.py, and what is needed only once an event is there is made while it is waited for.
"""

import builtins
import posix
import sys
import time

BASE = "/2018-06-01/runtime/"
TOGETHER_MAX = 65536  # A larger answer goes alone.

request_id = ""  # of the event in work; the log names it

# What runs may be the compiled file; functions see the one that a person can read.
__file__ = sys._getframe().f_code.co_filename


def setting(name):
    """An environment variable; None when it is not set. `os` keeps a copy of its own once it is imported."""
    os = sys.modules.get("os")
    if hasattr(os, "environ"):
        return os.environ.get(name)
    value = posix.environ.get(name.encode())
    return None if value is None else value.decode("utf-8", "surrogateescape")


def set_setting(name, value):
    """Sets an environment variable; None or nothing removes it."""
    os = sys.modules.get("os")
    if hasattr(os, "environ"):
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    elif value:
        posix.environ[name.encode()] = value.encode("utf-8", "surrogateescape")
        posix.putenv(name, value)
    elif posix.environ.pop(name.encode(), None) is not None:
        posix.unsetenv(name)


def seldom(name):
    """Something out of the file that few starts need."""
    if name not in globals():
        directory = setting("LAMBDA_RUNTIME_DIR")
        try:
            import marshal

            with open(f"{directory}/seldom-{sys.version_info[0]}.{sys.version_info[1]}.pyc", "rb") as file:
                code = marshal.loads(file.read()[16:])
        except (OSError, EOFError, TypeError, ValueError):
            with open(f"{directory}/seldom.py", encoding="utf-8") as file:
                code = compile(file.read(), f"{directory}/seldom.py", "exec")
        exec(code, globals())
    return globals()[name]


class Quitter:
    """`exit` and `quit`, as the module `site` makes them."""

    def __init__(self, name):
        self.name = name
        self.eof = "Ctrl-D"

    def __repr__(self):
        return f"Use {self.name}() or {self.eof} (i.e. EOF) to exit"

    def __call__(self, code=None):
        try:
            sys.stdin.close()
        except Exception:
            pass
        raise SystemExit(code)


class Connection:
    """One kept-alive connection to the Runtime API."""

    def __init__(self):
        self.host = setting("AWS_LAMBDA_RUNTIME_API")
        self.reader, self.writer = self.given()
        self.rest = b""
        self.unheeded = 0  # answers that nobody has read yet, because they only say that all is well

    @staticmethod
    def given():
        """The pipes that the platform hands over; None where it has not. They are not for what a function starts."""
        numbers = setting("_DORY_RUNTIME_API_FDS")
        if numbers is None:
            return None, None
        set_setting("_DORY_RUNTIME_API_FDS", None)
        reader, writer = [int(number) for number in numbers.split(",")]
        posix.set_inheritable(reader, False)
        posix.set_inheritable(writer, False)
        return reader, writer

    def connect(self):
        import _socket

        host, port = self.host.split(":")
        socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        socket.connect((host, int(port)))
        socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.reader = self.writer = socket.detach()
        self.rest = b""

    def call(self, method, target, body=b"", headers=""):
        self.send(method, target, body, headers)
        return self.receive()

    def answer(self, target, body, headers):
        """Sends an answer and asks for the next event, together if possible: then the platform wakes this process once."""
        if len(body) > TOGETHER_MAX:
            self.call("POST", target, body, headers)
            self.send("GET", "invocation/next")
        else:
            self.unheeded += 1
            self.write(self.request("POST", target, body, headers) + self.request("GET", "invocation/next"))

    def send(self, method, target, body=b"", headers=""):
        self.write(self.request(method, target, body, headers))

    def request(self, method, target, body=b"", headers=""):
        head = f"{method} {BASE}{target} HTTP/1.1\r\nHost: {self.host}\r\n{headers}"
        if method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        return head.encode("latin-1", "replace") + b"\r\n" + body

    def write(self, data):
        if self.writer is None:
            self.connect()
        try:
            sent = posix.write(self.writer, data)
            if sent < len(data):
                rest = memoryview(data)
                while sent < len(data):
                    sent += posix.write(self.writer, rest[sent:])
        except ConnectionError:
            pass  # An answer may stand there already: what was sent was too much.

    def receive(self):
        while self.unheeded:
            self.unheeded -= 1
            self.receive()
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
            self.close()
        return headers, body

    def close(self):
        posix.close(self.reader)
        if self.writer != self.reader:
            posix.close(self.writer)
        self.reader = self.writer = None

    def more(self, size=65536):
        data = posix.read(self.reader, max(min(size, 1 << 20), 4096))
        if not data:
            raise ConnectionError("the Runtime API closed the connection")
        self.rest += data


def json_codec():
    """What the module `json` does with its accelerator, without its regular expressions: from bytes, and to bytes."""
    import _json

    class Scanner:
        strict = True
        object_hook = object_pairs_hook = None
        parse_float, parse_int = float, int
        parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__
        memo = {}

    scan = _json.make_scanner(Scanner())
    # Up to Python 3.11 Lambda writes \u escapes.
    texts = _json.encode_basestring_ascii if sys.version_info < (3, 12) else _json.encode_basestring
    raw = {}  # numbers that no type of the accelerator holds exactly, by what stands for them

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

    def other(value):
        decimal = sys.modules.get("decimal")
        if decimal and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            stand_in = f"\ue000{id(raw)}.{len(raw)}\ue000"
            raw[texts(stand_in)] = str(value)
            return stand_in
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    def to_json(value):
        encoded = "".join(_json.make_encoder({}, other, texts, None, ": ", ", ", False, False, True)(value, 0))
        while raw:
            stand_in, number = raw.popitem()
            encoded = encoded.replace(stand_in, number)
        return encoded.encode("utf-8", "surrogatepass")

    return from_json, to_json


def plain_from_json(text):
    """A short and plain text: strings without escapes, and whole numbers. An exception says that it is another one."""

    def skip(at):
        while text[at] in " \t\n\r":
            at += 1
        return at

    def parse(at):
        begin = text[at]
        if begin == '"':
            end = text.index('"', at + 1)
            string = text[at + 1:end]
            if "\\" in string or not string.isprintable():
                raise ValueError
            return string, end + 1
        if begin in "{[":
            found, close = ({}, "}") if begin == "{" else ([], "]")
            at = skip(at + 1)
            if text[at] == close:
                return found, at + 1
            while True:
                value, at = parse(at)
                if begin == "[":
                    found.append(value)
                else:
                    at = skip(at)
                    if type(value) is not str or text[at] != ":":
                        raise ValueError
                    found[value], at = parse(skip(at + 1))
                at = skip(at)
                if text[at] == close:
                    return found, at + 1
                if text[at] != ",":
                    raise ValueError
                at = skip(at + 1)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if text.startswith(word, at):
                return value, at + len(word)
        first = end = at + 1 if begin == "-" else at
        while end < len(text) and text[end] in "0123456789":
            end += 1
        if end == first or (text[first] == "0" and end > first + 1) or text[end:end + 1] in (".", "e", "E"):
            raise ValueError
        return int(text[at:end]), end

    value, end = parse(0)
    if end != len(text):
        raise ValueError
    return value


def plain_to_json(value):
    """Few and plain values, likewise."""
    left = 100

    def text(value):
        nonlocal left
        left -= 1
        kind = type(value)
        if kind is str and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
            return f'"{value}"'
        if kind is dict and len(value) <= left and all([type(name) is str for name in value]):
            return "{" + ", ".join([f"{text(name)}: {text(item)}" for name, item in value.items()]) + "}"
        if kind is list and len(value) <= left:
            return "[" + ", ".join([text(item) for item in value]) + "]"
        if kind is int:
            return repr(value)
        if value is None or kind is bool:
            return "null" if value is None else "true" if value else "false"
        raise ValueError

    return text(value).encode()


def from_json(body):
    if len(body) <= 2048:
        try:
            return plain_from_json(body.decode().strip(" \t\n\r"))
        except Exception:
            pass
    use_json()
    return from_json(body)


def to_json(value):
    try:
        return plain_to_json(value)
    except Exception:
        use_json()
    return to_json(value)


def use_json():
    """Puts the real functions in the place of the two above, which spare the first event the loading of the accelerator:
    where it is a file, that takes longer than all else that happens to a small event."""
    global from_json, to_json
    from_json, to_json = json_codec()


def marshal(result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return to_json(result), "application/json"
    except Exception as error:
        raise seldom("Fault")("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def unmarshal(body):
    try:
        return from_json(body)
    except Exception as error:
        raise seldom("Fault")("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


# The context.


def context_type():
    """Made while the first event is waited for."""

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

    class LambdaContext:
        """What the handler gets as its second argument."""

        def __init__(self, headers):
            self.aws_request_id = headers["lambda-runtime-aws-request-id"]
            self.log_group_name = setting("AWS_LAMBDA_LOG_GROUP_NAME")
            self.log_stream_name = setting("AWS_LAMBDA_LOG_STREAM_NAME")
            self.function_name = setting("AWS_LAMBDA_FUNCTION_NAME")
            self.memory_limit_in_mb = setting("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
            self.function_version = setting("AWS_LAMBDA_FUNCTION_VERSION")
            self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
            self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
            self.client_context = None
            if headers.get("lambda-runtime-client-context"):
                self.client_context = seldom("client_context")(headers, Record)
            identity = {}
            if headers.get("lambda-runtime-cognito-identity"):
                identity = seldom("header_object")(headers, "lambda-runtime-cognito-identity", "Cognito Identity") or {}
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

    for made in (CognitoIdentity, LambdaContext):
        made.__qualname__ = made.__name__
        globals()[made.__name__] = made
    return LambdaContext


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
            seldom("set_up_logging")(module)

        spec.loader.exec_module = exec_module
        return spec


# The life of an instance.


def light_compile(loader, source, path, *more, **options):
    """What `compile` does to a module, without making the types of the syntax tree first, which takes a millisecond: `exec`
    knows no file name but makes none of them. It is stopped when it has the code and would begin to run it."""
    code = None

    def take(frame, event, _):
        nonlocal code
        if event == "call":
            code = frame.f_code
            raise InterruptedError

    if isinstance(source, bytes) and sys.getprofile() is None and not sys.warnoptions:
        import _warnings

        refuse = ("error", None, SyntaxWarning, None, 0)
        _warnings.filters.insert(0, refuse)
        sys.setprofile(take)
        try:
            exec(source, {})
        except BaseException:
            pass  # What is wrong with the source, or odd, is told by the real one.
        finally:
            sys.setprofile(None)
            _warnings.filters.remove(refuse)
    if code is None:
        return source_to_code(loader, source, path, *more, **options)
    import _imp

    _imp._fix_co_filename(code, path)
    return code


def load(named):
    try:
        module_name, function = named.rsplit(".", 1)
    except ValueError as error:
        raise seldom("Fault")("Runtime.MalformedHandlerName", f"Bad handler '{named}': {error}") from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise seldom("Fault")("Runtime.BuiltInModuleConflict", message)
    try:
        module = __import__(module_name.replace("/", "."), fromlist=["_"])
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise seldom("Fault")("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        message = f"Syntax error in module '{module_name}': {error}"
        raise seldom("Fault")("Runtime.UserCodeSyntaxError", message, trace) from error
    try:
        return getattr(module, function)
    except AttributeError:
        message = f"Handler '{function}' missing on module '{module_name}'"
        raise seldom("Fault")("Runtime.HandlerNotFound", message) from None


def init(connection):
    global source_to_code
    import _frozen_importlib_external as machinery

    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # There is no place for it.
    source_to_code = machinery.SourceLoader.source_to_code
    machinery.SourceLoader.source_to_code = light_compile
    try:
        return load(setting("_HANDLER"))
    except Exception as error:
        document = seldom("describe")(error)
    finally:
        sys.dont_write_bytecode = writes
        machinery.SourceLoader.source_to_code = source_to_code
    seldom("report")(document)
    sys.stdout.flush()
    seldom("send_error")(connection, "init/error", document)
    sys.exit(1)


def serve(connection, handler):
    global request_id
    connection.send("GET", "invocation/next")
    spared = "_json" not in sys.modules and "_json" not in sys.builtin_module_names
    if not spared:
        use_json()
    context_of = context_type()
    while True:
        headers, body = connection.receive()
        request_id = headers["lambda-runtime-aws-request-id"]
        set_setting("_X_AMZN_TRACE_ID", headers.get("lambda-runtime-trace-id"))
        try:
            context = context_of(headers)
            result, kind = marshal(handler(unmarshal(body), context))
        except Exception as error:
            document = seldom("describe")(error, request_id)
            seldom("report")(document)
            sys.stdout.flush()
            seldom("send_error")(connection, f"invocation/{request_id}/error", document)
            connection.send("GET", "invocation/next")
        else:
            sys.stdout.flush()
            connection.answer(f"invocation/{request_id}/response", result, f"Content-Type: {kind}\r\n")
        if spared:
            use_json()
            spared = False


def is_directory(path):
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False


def look_where_all_is():
    """The interpreter found its libraries and codecs in a directory of the platform that stood first in its paths. What is
    looked for from now on, here and in programs that the function starts, is looked for as if that had not been there."""
    ahead = f"{setting('LAMBDA_RUNTIME_DIR')}/python{sys.version_info[0]}.{sys.version_info[1]}"
    for name, first in (("PYTHONPATH", f"{ahead}:"), ("LD_LIBRARY_PATH", f"{ahead}/lib:")):
        value = setting(name) or ""
        if value.startswith(first):
            set_setting(name, value[len(first):])
    if ahead not in sys.path:
        return
    sys.path.remove(ahead)
    import _frozen_importlib_external as machinery
    import encodings

    directory = encodings.normalize_encoding.__code__.co_filename.rpartition("/")[0]
    for place in (ahead, *encodings.__path__):
        sys.path_importer_cache.pop(place, None)
    for name, module in sys.modules.items():
        package, _, codec = name.partition(".")
        if package == "encodings" and module.__file__.startswith(ahead):
            spec, file = module.__spec__, f"{directory}/{codec or '__init__'}.py"
            spec.origin = module.__file__ = file
            spec.cached = module.__cached__ = machinery.cache_from_source(file)
            spec.loader = module.__loader__ = machinery.SourceFileLoader(name, file)
    encodings.__path__[:] = [directory]


def main():
    look_where_all_is()
    sys.argv[:] = [__file__]
    builtins.exit, builtins.quit = Quitter("exit"), Quitter("quit")
    sys.stdout.reconfigure(errors="backslashreplace")
    root = setting("LAMBDA_TASK_ROOT")
    posix.chdir(root)
    layers = [f"/opt/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages", "/opt/python"]
    # The first entry stands for where this program is, unless that was switched off.
    own = 0 if getattr(sys.flags, "safe_path", False) else 1
    sys.path[:own] = [root, *(layer for layer in layers if is_directory(layer))]
    sys.meta_path.insert(0, LoggingFinder)
    connection = Connection()
    serve(connection, init(connection))


if __name__ == "__main__":
    main()
