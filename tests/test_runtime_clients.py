"""AWS's own clients of the Runtime API, unmodified from their registries: what a function that is made with them meets.
The programs are in tests/clients; what is built of them stays under target/clients."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from conftest import ROOT, TARGET, open_url, wait_for
from test_function_urls import curl
from test_lambda import ROLE, zipped

BUILT = ROOT / "target" / "clients"
# The client wants no newer one; Debian 12 has 1.19.
GO_MIN = (1, 18)


def build_rust():
    source = ROOT / "tests" / "clients" / "rust"
    environment = {**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"}
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--target", TARGET, "--target-dir", BUILT, "--manifest-path", source / "Cargo.toml"],
        check=True, env=environment)
    return BUILT / TARGET / "debug" / "bootstrap"


def build_go():
    go = shutil.which("go")
    if not go:
        pytest.skip("Go is not installed (Debian: golang-go)")
    version = tuple(map(int, re.search(r"go(\d+)\.(\d+)", subprocess.check_output([go, "version"], text=True)).groups()))
    if version < GO_MIN:
        pytest.skip(f"Go {version} is older than {GO_MIN}")
    built = BUILT / "go" / "bootstrap"
    subprocess.run(
        [go, "build", "-mod=readonly", "-ldflags", "-s -w", "-o", built, "."], check=True, cwd=ROOT / "tests" / "clients" / "go",
        env={**os.environ, "CGO_ENABLED": "0"})
    return built


class Function:
    """A function of one of the programs."""

    def __init__(self, client, name):
        self.client, self.name = client, name

    def invoke(self, do, number=0, **more):
        """The answer's head and the payload."""
        answer = self.client.invoke(FunctionName=self.name, Payload=json.dumps({"do": do, "with": number}), **more)
        return answer, json.loads(answer["Payload"].read())

    def fails(self, do, number=0):
        answer, payload = self.invoke(do, number)
        assert answer["FunctionError"] == "Unhandled", payload
        return payload["errorType"], payload["errorMessage"]

    def stream(self, do, number):
        """What came, piece by piece, and how it ended."""
        answer = self.client.invoke_with_response_stream(FunctionName=self.name, Payload=json.dumps({"do": do, "with": number}))
        pieces, end = [], None
        for event in answer["EventStream"]:
            if "PayloadChunk" in event:
                pieces.append(event["PayloadChunk"]["Payload"])
            end = event.get("InvokeComplete", end)
        return pieces, end


def functions_of(platform, program, name):
    client = platform.boto3("lambda")
    code = zipped(bootstrap=pathlib.Path(program).read_bytes())
    settings = {"Runtime": "provided.al2023", "Role": ROLE, "Handler": "bootstrap", "Code": {"ZipFile": code}, "Timeout": 10}
    client.create_function(FunctionName=name, **settings)
    client.create_function(FunctionName=f"{name}-broken", **settings, Environment={"Variables": {"PANIC_AT_START": "1"}})
    yield Function(client, name)
    for made in (name, f"{name}-broken"):
        client.delete_function(FunctionName=made)


@pytest.fixture(scope="module")
def rust(platform):
    yield from functions_of(platform, build_rust(), "rust-client")


@pytest.fixture(scope="module")
def go(platform):
    yield from functions_of(platform, build_go(), "go-client")


@pytest.fixture(params=["rust", "go"])
def either(request):
    return request.getfixturevalue(request.param)


def test_events_and_answers(either):
    answer, payload = either.invoke("", 3)
    assert payload["event"] == {"do": "", "with": 3}
    assert answer["ExecutedVersion"] == "$LATEST" and "FunctionError" not in answer


def test_the_context(either):
    app = dict.fromkeys(("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"), "")
    given = {"client": {**app, "app_title": "t"}, "custom": {"a": "b"}, "env": {}}
    encoded = base64.b64encode(json.dumps(given).encode()).decode()
    before = time.time() * 1000
    answer, context = either.invoke("context", ClientContext=encoded)
    assert context["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert context["invoked_function_arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{either.name}"
    # Ten seconds from the moment that the function got it.
    assert before + 9_000 < context["deadline"] < time.time() * 1000 + 10_500
    trace = context.get("xray_trace_id") or context["trace_in_environment"]
    assert trace.startswith("Root=1-")
    told = context["client_context"]
    assert "b" in json.dumps(told) and '"t"' in json.dumps(told), told
    about = context.get("env_config", context)
    assert about["function_name"] == either.name and about["version"] == "$LATEST"
    assert about["memory"] == 128 and about["log_group"] == f"/aws/lambda/{either.name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", about["log_stream"])


def test_errors(rust, go):
    kind, message = rust.fails("error")
    assert "dyn core::error::Error" in kind and message == "it failed"
    assert go.fails("error") == ("errorString", "it failed")
    assert go.fails("own-error") == ("refused", "it was refused")


def test_panics(rust, go):
    """The Rust client catches a panic and goes on; the Go client reports it, with its stack, and ends."""
    kind, message = rust.fails("panic")
    assert "panicked" in message, (kind, message)
    _, payload = go.invoke("panic")
    assert (payload["errorType"], payload["errorMessage"]) == ("string", "it panicked")
    assert any("main.serve" == frame["label"] or "serve" in frame["label"] for frame in payload["stackTrace"])
    for function in (rust, go):
        assert "event" in function.invoke("")[1], "the next call is served"


def test_ends_and_limits(either):
    kind, message = either.fails("exit")
    assert kind == "Runtime.ExitError" and message.endswith("Error: Runtime exited with error: exit status 7")
    answer, payload = either.invoke("answer", 6_000_000)
    assert len(payload) == 6_000_000
    kind, message = either.fails("answer", 6 * 1024 * 1024 + 100)
    assert kind == "Function.ResponseSizeTooLarge", message
    assert "event" in either.invoke("")[1]


def test_a_start_that_fails(either):
    broken = Function(either.client, f"{either.name}-broken")
    kind, message = broken.fails("")
    assert kind == "Runtime.ExitError" and "Runtime exited with error: exit status" in message, (kind, message)


def test_streams(either):
    pieces, end = either.stream("stream", 5)
    # The Rust client's stream begins with a prelude of status, headers and cookies.
    body = b"".join(pieces).split(bytes(8))[-1]
    assert body == b"".join(b"piece %d\n" % number for number in range(5))
    assert len(pieces) >= 4 and "ErrorCode" not in end


def test_a_stream_that_breaks_off(rust):
    """This client writes what should be trailers into the body, so that the reader is told there."""
    pieces, end = rust.stream("break", 2)
    _, _, told = b"".join(pieces).partition(b"piece 1\n")
    assert told.startswith(b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"), told
    assert base64.b64decode(told.split()[-1]) == b"it broke off"


def test_a_stream_that_fails_says_so_in_trailers(go):
    pieces, end = go.stream("break", 2)
    assert b"".join(pieces) == b"piece 0\npiece 1\n"
    assert end["ErrorCode"] == "Unhandled", end
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "it broke off"


def test_a_stream_through_a_function_url(rust):
    url = rust.client.create_function_url_config(FunctionName=rust.name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    open_url(rust.client, rust.name)
    status, headers, body = wait_for("the route", lambda: (got := curl(url))[0] not in (403, 404) and got)
    # The event of a URL asks for nothing: the program answers with it.
    assert status == 200 and json.loads(body)["event"]["version"] == "2.0"
