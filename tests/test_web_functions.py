"""HTTP servers that know nothing of Lambda, run as functions: with the environment of AWS's Lambda Web Adapter, called
through function URLs and with the events of other sources."""

import base64
import gzip
import json
import os
import sys
import textwrap
import uuid

import botocore.exceptions
import pytest
from conftest import EXAMPLES, open_url, wait_for
from test_function_urls import curl
from test_lambda import ROLE, invoke, zipped

# A server in the Python of this machine. What a request asks for is in its path.
SERVER = '''
import http.server, json, os, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        print(self.command, self.path, flush=True)
        path = self.path.split("?")[0]
        name, _, rest = path.strip("/").partition("/")
        getattr(self, "serve_" + name, self.serve_echo)(body, rest)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def reply(self, status, kind, body, *headers):
        self.send_response(status)
        for header in [("content-type", kind), ("content-length", len(body)), *headers]:
            self.send_header(*map(str, header))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve_echo(self, body, rest):
        headers = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        seen = {"method": self.command, "path": self.path, "headers": headers, "body": body.decode("latin-1"), "pid": os.getpid()}
        self.reply(200, "application/json", json.dumps(seen).encode())

    def serve_status(self, body, rest):
        self.reply(int(rest), "text/plain", b"as you wish", ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-two", "1"), ("x-two", "2"))

    def serve_binary(self, body, rest):
        self.reply(200, "image/png", bytes(range(256)))

    def serve_big(self, body, rest):
        self.reply(200, "text/plain", b"x" * int(rest))

    def serve_die(self, body, rest):
        print("dying", flush=True)
        os._exit(3)

    def serve_drop(self, body, rest):
        self.close_connection = True

    def serve_sleep(self, body, rest):
        time.sleep(float(rest))
        self.reply(200, "text/plain", b"slept")

    def serve_stream(self, body, rest):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("set-cookie", "a=1")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(int(rest)):
            text = b"data: %d\\n\\n" % number
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(text), text))
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def serve_unready(self, body, rest):
        ready = time.monotonic() - began > float(os.environ.get("READY_AFTER", "0"))
        self.reply(200 if ready else 503, "text/plain", b"")

    def log_message(self, *words):
        pass

began = time.monotonic()
time.sleep(float(os.environ.get("LISTEN_AFTER", "0")))
port = int(os.environ.get("LISTEN", os.environ.get("PORT", "8080")))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''
# Every sandbox sees /usr.
PYTHON = next(path for path in (os.path.realpath(sys.executable), "/usr/bin/python3") if path.startswith("/usr/"))
CODE = zipped(bootstrap=f"#!/bin/sh\nexec {PYTHON} /var/task/server.py\n", server__py=SERVER)


@pytest.fixture(scope="module")
def client(platform):
    return platform.boto3("lambda")


@pytest.fixture
def serve(client):
    """Makes functions of the server above, with this environment; gives their names."""
    made = []

    def make(environment, code=CODE, url=None, **more):
        name = f"web-{uuid.uuid4().hex[:8]}"
        settings = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 20, "MemorySize": 256, **more}
        client.create_function(
            FunctionName=name, Role=ROLE, Code={"ZipFile": code}, Environment={"Variables": environment}, **settings)
        made.append(name)
        if url is None:
            return name
        address = client.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode=url)["FunctionUrl"]
        open_url(client, name)
        wait_for("the route", lambda: curl(address)[0] not in (403, 404))
        return name, address

    yield make
    for name in made:
        client.delete_function(FunctionName=name)


def request(path, method="GET", **more):
    """An event of an HTTP API or a function URL."""
    path, _, query = path.partition("?")
    context = {"http": {"method": method, "path": path}, "domainName": "example.com", "requestId": "r"}
    return {"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": {"host": "example.com"},
            "requestContext": context, **more}


def said(client, name, event):
    """What the server says that it saw."""
    _, answer = invoke(client, name, event)
    assert answer["statusCode"] == 200, answer
    return json.loads(answer["body"])


def log_of(client, name, event, **more):
    answer, payload = invoke(client, name, event, LogType="Tail", **more)
    return payload, base64.b64decode(answer["LogResult"]).decode()


def test_the_example_server_runs_unchanged(platform, client):
    """The binary that the demo runs as a Deployment, as a function."""
    done = platform.run("deploy", EXAMPLES / "api-service", "--name", "api-as-function")
    try:
        assert "HTTP server on port 8080" in done.stdout, done.stdout
        url = done.stdout.split()[-1]
        status, headers, body = wait_for("the route", lambda: (got := curl(url))[0] == 200 and got)
        assert json.loads(body)["service"] == "api-service" and headers["content-type"] == "application/json"
        assert "connection" not in headers or "keep" not in headers["connection"]
        assert curl(url + "healthz")[2] == "ok\n"
        assert curl(url + "nothing")[0] == 404
        assert curl(url, "POST")[0] == 405
        payload, log = log_of(client, "api-as-function", request("/healthz"))
        assert payload["body"] == "ok\n"
        start, printed, end, report = log.splitlines()
        assert start.startswith("START RequestId: ") and printed == "GET /healthz"
        assert end.startswith("END RequestId: ") and report.startswith("REPORT RequestId: ")
        variables = client.get_function_configuration(FunctionName="api-as-function")["Environment"]["Variables"]
        assert variables == {"AWS_LWA_PORT": "8080", "PORT": "8080"}
    finally:
        client.delete_function(FunctionName="api-as-function")


def test_a_function_that_speaks_for_itself_is_left_alone(platform, client):
    """`dory deploy` sees it, and with AWS_LWA_PORT too the first to ask for an event decides."""
    done = platform.run("deploy", EXAMPLES / "bootstrap", "--name", "plain", "--env", "AWS_LWA_PORT=8080")
    try:
        assert "HTTP server" not in done.stdout
        answer, payload = invoke(client, "plain", {"a": 1})
        assert "FunctionError" not in answer, payload
    finally:
        client.delete_function(FunctionName="plain")


def test_requests_arrive_as_they_were_sent(client, serve):
    name, url = serve({"PORT": "8000"}, url="BUFFERED")
    status, headers, body = curl(url + "a%20b/c?x=1&y=%26&x=2", "PUT", Cookie="a=1; b=2", X_Mine="yes", Content_Type="text/plain")
    seen = json.loads(body)
    assert (status, seen["method"], seen["path"]) == (200, "PUT", "/a%20b/c?x=1&y=%26&x=2")
    assert seen["headers"]["cookie"] == ["a=1; b=2"] and seen["headers"]["x-mine"] == ["yes"]
    assert seen["headers"]["host"] == [url.split("/")[2]]
    assert seen["headers"]["x-forwarded-proto"] == ["http"]
    context = json.loads(seen["headers"]["x-amzn-request-context"][0])
    assert context["http"]["method"] == "PUT" and context["accountId"] == "anonymous"
    told = json.loads(seen["headers"]["x-amzn-lambda-context"][0])
    assert told["request_id"] and told["invoked_function_arn"].endswith(f":function:{name}")
    assert told["env_config"]["function_name"] == name and told["env_config"]["memory"] == 256
    assert seen["headers"]["x-amzn-trace-id"][0].startswith("Root=1-")
    again = json.loads(curl(url)[2])
    assert again["pid"] == seen["pid"], "the instance is warm"


def test_answers_arrive_as_they_were_made(client, serve):
    name, url = serve({"AWS_LWA_PORT": "8000", "PORT": "8000"}, url="BUFFERED")
    _, answer = invoke(client, name, request("/status/418"))
    assert answer == {
        "statusCode": 418, "cookies": ["a=1", "b=2"], "body": "as you wish", "isBase64Encoded": False,
        "headers": {**answer["headers"], "content-type": "text/plain", "x-two": "1,2"},
    }
    _, answer = invoke(client, name, request("/binary"))
    assert answer["isBase64Encoded"] is True and base64.b64decode(answer["body"]) == bytes(range(256))
    assert curl(url + "status/503")[0] == 503
    body = base64.b64encode(bytes([0, 255])).decode()
    seen = said(client, name, request("/", "POST", body=body, isBase64Encoded=True))
    assert seen["body"].encode("latin-1") == bytes([0, 255]) and seen["headers"]["content-length"] == ["2"]
    answer, payload = invoke(client, name, request("/big/7000000"))
    assert payload["errorType"] == "Function.ResponseSizeTooLarge", payload
    _, payload = invoke(client, name, request("/big/6000000"))
    assert len(payload["body"]) == 6_000_000


def test_other_sources_of_requests(client, serve):
    name = serve({"PORT": "8000"})
    rest = {
        "httpMethod": "POST", "path": "/p", "multiValueHeaders": {"x-a": ["1", "2"]}, "body": "hi", "isBase64Encoded": False,
        "multiValueQueryStringParameters": {"q": ["a b", "2"]}, "requestContext": {"stage": "prod", "identity": {}},
    }
    _, answer = invoke(client, name, rest)
    seen = json.loads(answer["body"])
    assert (seen["method"], seen["path"], seen["headers"]["x-a"]) == ("POST", "/p?q=a%20b&q=2", ["1", "2"])
    assert answer["multiValueHeaders"]["content-type"] == ["application/json"] and "cookies" not in answer
    balanced = {
        "httpMethod": "GET", "path": "/status/200", "headers": {"host": "lb"}, "queryStringParameters": {},
        "body": "", "isBase64Encoded": False, "requestContext": {"elb": {"targetGroupArn": "arn"}},
    }
    _, answer = invoke(client, name, balanced)
    assert answer["statusDescription"] == "200 OK" and answer["multiValueHeaders"]["x-two"] == ["1", "2"]
    _, answer = invoke(client, name, {"Records": [{"body": "x"}]})
    assert (answer["method"], answer["path"], json.loads(answer["body"])) == ("POST", "/events", {"Records": [{"body": "x"}]})
    assert answer["headers"]["x-amzn-request-context"] == ["null"]


def test_the_variables_of_the_adapter(client, serve):
    name = serve({
        "LISTEN": "9000", "PORT": "8000", "AWS_LWA_PORT": "9000", "AWS_LWA_REMOVE_BASE_PATH": "/v1",
        "AWS_LWA_AUTHORIZATION_SOURCE": "x-token", "AWS_LWA_PASS_THROUGH_PATH": "/hook",
        "AWS_LWA_ERROR_STATUS_CODES": "500,502-504", "AWS_LWA_ENABLE_COMPRESSION": "true", "AWS_LWA_NONSENSE": "1",
    })
    seen = said(client, name, request("/v1/v1/x", headers={"host": "h", "x-token": "secret"}))
    assert seen["path"] == "/v1/x" and seen["headers"]["authorization"] == ["secret"] and "x-token" not in seen["headers"]
    _, answer = invoke(client, name, ["an event"])
    assert answer["path"] == "/hook"
    answer, payload = invoke(client, name, request("/status/503"))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(payload["errorMessage"]) == {"statusCode": 503, "body": "as you wish"}
    assert invoke(client, name, request("/status/501"))[1]["statusCode"] == 501
    _, answer = invoke(client, name, request("/big/1000", headers={"accept-encoding": "gzip"}))
    assert answer["headers"]["content-encoding"] == "gzip" and answer["isBase64Encoded"]
    assert gzip.decompress(base64.b64decode(answer["body"])) == b"x" * 1000
    _, answer = invoke(client, name, request("/big/1000"))
    assert answer["body"] == "x" * 1000


def test_readiness(client, serve):
    """The first request waits until the server says that it is ready, not only until it listens."""
    name = serve({"PORT": "8000", "AWS_LWA_READINESS_CHECK_PATH": "/unready", "READY_AFTER": "0.4"})
    payload, log = log_of(client, name, request("/status/200"))
    lines = log.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("START"))
    assert payload["statusCode"] == 200
    init = float(lines[-1].split("Init Duration: ")[1].split()[0])
    assert init >= 400, lines[-1]
    assert lines[first + 1] == "GET /status/200"
    name = serve({
        "PORT": "8000", "READINESS_CHECK_PROTOCOL": "tcp", "READINESS_CHECK_PATH": "/status/500", "LISTEN_AFTER": "0.2"})
    assert invoke(client, name, request("/status/200"))[1]["statusCode"] == 200


def test_a_server_that_never_comes(client, serve):
    name = serve({"PORT": "8000", "LISTEN": "8001", "AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS": "0.3"})
    answer, payload = invoke(client, name, request("/"))
    assert answer["FunctionError"] and payload["errorType"] == "WebAdapter.NotReady", payload
    assert "no healthy answer to GET http://127.0.0.1:8000/" in payload["errorMessage"]


def test_asynchronous_initialization(client, serve):
    """A server that needs longer than a start may take; the invocation waits for the rest."""
    name = serve({"PORT": "8000", "AWS_LWA_ASYNC_INIT": "true", "LISTEN_AFTER": "10.5"}, Timeout=30)
    payload, log = log_of(client, name, request("/status/200"))
    assert payload["statusCode"] == 200, payload
    assert float(log.splitlines()[-1].split("Init Duration: ")[1].split()[0]) < 10_000


def test_what_cannot_be_honoured_is_refused(platform, client, serve):
    name = serve({"AWS_LWA_PORT": "8000"})

    def refused(call, **arguments):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            call(**arguments)
        assert error.value.response["Error"]["Code"] == "InvalidParameterValueException"
        return error.value.response["Error"]["Message"]

    for variable, value, what in (
        ("AWS_LWA_LAMBDA_RUNTIME_API_PROXY", "127.0.0.1:9009", "Take it away"),
        ("AWS_LWA_ENABLE_TLS", "true", "let the server listen without TLS"),
        ("AWS_LWA_HOST", "10.0.0.1", "give 127.0.0.1"),
        ("AWS_LWA_READINESS_CHECK_PORT", "http", "give a number from 1 to 65535"),
    ):
        environment = {"Variables": {"AWS_LWA_PORT": "8000", variable: value}}
        message = refused(client.update_function_configuration, FunctionName=name, Environment=environment)
        assert variable in message and what in message, message
        assert message == refused(
            client.create_function, FunctionName=f"{name}-no", Runtime="provided.al2023", Handler="bootstrap", Role=ROLE,
            Code={"ZipFile": CODE}, Environment=environment)
    image = platform.run("image", "build", EXAMPLES / "api-service", "-t", "functions/tls:1", "--env", "AWS_LWA_ENABLE_TLS=true")
    assert "functions/tls:1" in image.stdout
    assert "AWS_LWA_ENABLE_TLS" in refused(
        client.create_function, FunctionName=f"{name}-no", PackageType="Image", Role=ROLE, Code={"ImageUri": "functions/tls:1"})
    # What brings the adapter itself is its affair.
    layer = client.publish_layer_version(LayerName="own-adapter", Content={"ZipFile": zipped(**{"extensions/lambda-adapter": ""})})
    client.update_function_configuration(
        FunctionName=name, Layers=[layer["LayerVersionArn"]], Environment={"Variables": {"AWS_LWA_ENABLE_TLS": "true"}})
    client.update_function_configuration(FunctionName=name, Layers=[], Environment={"Variables": {"AWS_LWA_PORT": "8000"}})
    client.delete_layer_version(LayerName="own-adapter", VersionNumber=layer["Version"])
    # By another way nothing is refused until the start.
    patch = json.dumps({"spec": {"environment": {"AWS_LWA_HOST": "10.0.0.1"}}})
    platform.kubectl("patch", "function", name, "--type=merge", "-p", patch)
    answer, payload = wait_for("the new environment", lambda: (got := invoke(client, name, request("/")))[0].get("FunctionError") and got)
    assert payload["errorType"] == "Runtime.InvalidEntrypoint" and "AWS_LWA_HOST" in payload["errorMessage"], payload


def test_servers_that_fail(client, serve):
    name = serve({"PORT": "8000"}, Timeout=2)
    pid = said(client, name, request("/"))["pid"]
    answer, payload = invoke(client, name, request("/die"))
    assert payload["errorType"] == "Runtime.ExitError" and "exit status 3" in payload["errorMessage"], payload
    answer, payload = invoke(client, name, request("/drop"))
    assert payload["errorType"] == "WebAdapter.NoAnswer", payload
    answer, payload = invoke(client, name, request("/sleep/10"))
    assert payload["errorType"] == "Sandbox.Timedout", payload
    assert said(client, name, request("/"))["pid"], f"a fresh instance serves, as {pid} did"


def test_streaming(platform, client, serve):
    name, url = serve({"PORT": "8000", "AWS_LWA_INVOKE_MODE": "response_stream"}, url="RESPONSE_STREAM")
    status, headers, body = curl(url + "stream/3")
    assert (status, headers["content-type"], headers["set-cookie"]) == (200, "text/event-stream", "a=1")
    assert body == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert curl(url + "status/418")[0] == 418
    stream = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(request("/stream/5")))
    pieces = [event["PayloadChunk"]["Payload"] for event in stream["EventStream"] if "PayloadChunk" in event]
    prelude, body = b"".join(pieces).split(bytes(8))
    assert json.loads(prelude)["statusCode"] == 200 and body.count(b"data: ") == 5
    assert len(pieces) >= 4, "it came piece by piece"


def test_managed_runtimes_start_what_the_handler_names(client, serve):
    """As users of the adapter's layer set it: AWS_LAMBDA_EXEC_WRAPPER and a script. The layer itself is not needed."""
    script = '#!/bin/sh\nexec python3 "$LAMBDA_TASK_ROOT/server.py"\n'
    runtime = f"python3.{sys.version_info.minor}"
    environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap", "PORT": "8000"}
    try:
        name = serve(environment, zipped(run__sh=script, server__py=SERVER), Runtime=runtime, Handler="run.sh")
    except botocore.exceptions.ClientError as error:
        pytest.skip(f"{runtime}: {error}")
    assert said(client, name, request("/x"))["path"] == "/x"


def test_a_wrapper_script_starts_a_managed_runtime(client, serve):
    """Any other script gets the runtime's own command line, as on Lambda."""
    wrapper = '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'
    handler = textwrap.dedent("""
        import os
        def handler(event, context):
            return os.environ.get("WRAPPED")
    """)
    runtime = f"python3.{sys.version_info.minor}"
    environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}
    try:
        name = serve(environment, zipped(wrap=wrapper, app__py=handler), Runtime=runtime, Handler="app.handler")
    except botocore.exceptions.ClientError as error:
        pytest.skip(f"{runtime}: {error}")
    assert invoke(client, name)[1] == "yes"


def test_the_adapters_own_layer_is_stood_in_for(client, serve):
    """Templates that name it work as they are, with a program of their own or a script for a runtime."""
    layer = "arn:aws:lambda:eu-west-1:753240598075:layer:LambdaAdapterLayerX86:27"
    name = serve({}, Layers=[layer])
    assert said(client, name, request("/x"))["path"] == "/x"
    assert client.get_function_configuration(FunctionName=name)["Layers"][0]["Arn"] == layer
    script = f'#!/bin/sh\nexec {PYTHON} "$LAMBDA_TASK_ROOT/server.py"\n'
    name = serve({"PORT": "8000"}, zipped(run__sh=script, server__py=SERVER), Handler="run.sh", Layers=[layer])
    assert said(client, name, request("/y"))["path"] == "/y"
