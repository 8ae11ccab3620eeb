"""Answers that are read while the function writes them: event streams and function URLs, by boto3 and plain HTTP."""

import base64
import http.client
import json
import subprocess
import urllib.parse

import botocore.exceptions
import pytest
from conftest import open_url, wait_for

from test_lambda import python_runtime, zipped

ROLE = "arn:aws:iam::000000000000:role/any"

NODE = """
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const stream = awslambda.streamifyResponse;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
exports.two = stream(async (event, out) => {
  out.setContentType('text/plain');
  out.write('first');
  await wait(event.wait ?? 0);
  out.write({ second: 2 });
  out.end();
});
exports.piped = stream(async (event, out) => {
  await pipeline(Readable.from(['a', 'b', 'c']), out);
});
exports.fails = stream(async (event, out) => {
  out.write('so far');
  await wait(50);
  throw new TypeError('so good');
});
exports.fails_at_once = stream(async () => { throw new TypeError('no good'); });
exports.exits = stream(async (event, out) => {
  out.write('so far');
  await wait(50);
  process.exit(3);
});
exports.hangs = stream(async (event, out) => {
  out.write('so far');
  await wait(60000);
});
exports.open = stream(async (event, out) => { out.write('so far'); });
exports.large = stream(async (event, out) => {
  const piece = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < event.mb; i += 1) {
    if (!out.write(piece)) await new Promise((resolve) => out.once('drain', resolve));
  }
  out.end();
  console.log('all written');
});
exports.page = stream(async (event, out) => {
  out = awslambda.HttpResponseStream.from(out, {
    statusCode: 418, headers: { 'Content-Type': 'text/html', 'X-Path': event.rawPath }, cookies: ['a=1', 'b=2'],
  });
  out.write('<p>');
  await wait(Number(event.queryStringParameters?.wait ?? 0));
  if (event.queryStringParameters?.fail) throw new Error('after all');
  out.write('</p>');
  out.end();
});
exports.whole = async (event) => ({ statusCode: 201, body: 'whole' });
exports.throws = async () => { throw new TypeError('not streamed'); };
"""


@pytest.fixture(scope="module")
def awslambda(platform):
    return platform.boto3("lambda")


@pytest.fixture(scope="module")
def function(awslambda):
    """Makes a Node function of this handler, once; gives its name."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    runtime = f"nodejs{version.lstrip('v').split('.')[0]}.x"
    code, made = zipped(index__js=NODE), {}

    def make(handler, **more):
        name = "streaming-" + handler.replace("_", "-")
        if name not in made:
            awslambda.create_function(FunctionName=name, Runtime=runtime, Role=ROLE, Handler=f"index.{handler}",
                                      Code={"ZipFile": code}, **{"Timeout": 30, **more})
            made[name] = True
        return name

    yield make
    for name in made:
        awslambda.delete_function(FunctionName=name)


def events(awslambda, name, event=None, **more):
    """The pieces of an answer, and what completed it."""
    answer = awslambda.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event or {}), **more)
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    pieces, complete = [], None
    for one in answer["EventStream"]:
        assert complete is None, "nothing follows the end"
        if "PayloadChunk" in one:
            pieces.append(one["PayloadChunk"]["Payload"])
        else:
            complete = one["InvokeComplete"]
    return b"".join(pieces), complete


def test_pieces_come_as_they_are_written(awslambda, function):
    answer = awslambda.invoke_with_response_stream(FunctionName=function("two"), Payload='{"wait": 1500}', LogType="Tail")
    stream = iter(answer["EventStream"])
    first = next(stream)["PayloadChunk"]["Payload"]
    assert first == b"first", "the second is written later"
    rest = list(stream)
    assert b"".join(one["PayloadChunk"]["Payload"] for one in rest[:-1]) == b'{"second":2}'
    log = base64.b64decode(rest[-1]["InvokeComplete"]["LogResult"]).decode()
    assert log.startswith("START RequestId: ") and "\nREPORT RequestId: " in log
    assert "ErrorCode" not in rest[-1]["InvokeComplete"]


def test_answers_that_are_not_streamed_come_as_one_piece(awslambda, function):
    assert events(awslambda, function("whole")) == (b'{"statusCode":201,"body":"whole"}', {})
    payload, complete = events(awslambda, function("throws"))
    assert payload == b"" and complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "not streamed"


def test_streams_answer_callers_that_want_it_whole(awslambda, function):
    answer = awslambda.invoke(FunctionName=function("piped"), Payload="{}")
    assert answer["Payload"].read() == b"abc" and "FunctionError" not in answer
    failed = awslambda.invoke(FunctionName=function("fails"), Payload="{}")
    assert failed["FunctionError"] == "Unhandled"
    assert json.loads(failed["Payload"].read())["errorMessage"] == "so good"
    large = awslambda.invoke(FunctionName=function("large"), Payload='{"mb": 7}')
    assert json.loads(large["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize("handler, payload, kind, message", [
    ("fails", b"so far", "TypeError", "so good"),
    ("fails_at_once", b"", "TypeError", "no good"),
    ("exits", b"so far", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    ("open", b"so far", "string", "Response stream is not finished."),
])
def test_failures_in_the_middle_are_told_at_the_end(awslambda, function, handler, payload, kind, message):
    sent, complete = events(awslambda, function(handler))
    assert (sent, complete["ErrorCode"]) == (payload, "Unhandled")
    details = json.loads(complete["ErrorDetails"])
    assert details["errorType"] == kind and details["errorMessage"].endswith(message)
    again, _ = events(awslambda, function(handler))
    assert again == payload, "a fresh instance where the first one ended"


def test_the_time_limit_is_for_the_whole_stream(awslambda, function):
    sent, complete = events(awslambda, function("hangs", Timeout=1), LogType="Tail")
    details = json.loads(complete["ErrorDetails"])
    assert sent == b"so far" and details["errorType"] == "Sandbox.Timedout"
    assert details["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert "Status: timeout" in base64.b64decode(complete["LogResult"]).decode()


def test_large_streams_pass_and_larger_ones_are_cut(awslambda, function):
    sent, complete = events(awslambda, function("large", MemorySize=256), {"mb": 20})
    assert len(sent) == 20 * 1024 * 1024 and complete == {}
    sent, complete = events(awslambda, function("large"), {"mb": 201})
    assert len(sent) <= 200 * 1024 * 1024
    assert json.loads(complete["ErrorDetails"])["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_caller_that_goes_away_does_not_stop_the_function(platform, awslambda, function):
    name = function("large")
    answer = awslambda.invoke_with_response_stream(FunctionName=name, Payload='{"mb": 30}')
    request_id = answer["ResponseMetadata"]["RequestId"]
    next(iter(answer["EventStream"]))
    answer["EventStream"].close()

    def finished():
        return f"{request_id}\tINFO\tall written" in platform.run("logs", name).stdout

    wait_for("the function to write the rest", finished)


def test_requests_are_checked(awslambda, function):
    name = function("whole")

    def refused(code, status, **more):
        with pytest.raises(botocore.exceptions.ClientError) as error:
            awslambda.invoke_with_response_stream(**{"FunctionName": name, **more})
        assert error.value.response["Error"]["Code"] == code
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status

    refused("ResourceNotFoundException", 404, FunctionName="no-such-function")
    refused("InvalidRequestContentException", 400, Payload="{")
    refused("RequestTooLargeException", 413, Payload=json.dumps("x" * (6 * 1024 * 1024 + 100)))
    refused("ValidationException", 400, InvocationType="Event")
    dry = awslambda.invoke_with_response_stream(FunctionName=name, InvocationType="DryRun")
    assert dry["StatusCode"] == 204


@pytest.fixture(scope="module")
def url(platform, awslambda, function):
    """Gives a function a URL of this mode; gives its host and port."""

    def make(handler, mode):
        name = function(handler)
        try:
            where = awslambda.create_function_url_config(FunctionName=name, AuthType="NONE")
            open_url(awslambda, name)
        except awslambda.exceptions.ResourceConflictException:
            where = awslambda.get_function_url_config(FunctionName=name)
        platform.kubectl("patch", "function", name, "--type=merge", "-p", json.dumps({"spec": {"url": {"invokeMode": mode}}}))
        parts = urllib.parse.urlsplit(where["FunctionUrl"])
        wait_for("the gateway to know the URL", lambda: request(parts, "/").status not in (403, 404))
        return parts

    return make


def request(url, path):
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=30)
    connection.request("GET", path, headers={"Host": url.netloc})
    return connection.getresponse()


def test_urls_stream_with_status_headers_and_cookies(url):
    page = url("page", "RESPONSE_STREAM")
    answer = request(page, "/here?wait=1500")
    assert (answer.status, answer.getheader("content-type"), answer.getheader("x-path")) == (418, "text/html", "/here")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert answer.read1(100) == b"<p>", "the rest is written later"
    assert answer.read() == b"</p>"
    failed = request(page, "/?fail=1")
    with pytest.raises(http.client.IncompleteRead) as cut:
        failed.read()
    assert cut.value.partial == b"<p>"


def test_urls_stream_bytes_without_a_prelude(url):
    answer = request(url("two", "RESPONSE_STREAM"), "/")
    assert (answer.status, answer.getheader("content-type")) == (200, "text/plain")
    assert answer.read() == b'first{"second":2}'
    assert request(url("fails_at_once", "RESPONSE_STREAM"), "/").status == 502
    whole = request(url("whole", "RESPONSE_STREAM"), "/")
    assert (whole.status, whole.read()) == (200, b'{"statusCode":201,"body":"whole"}')


def test_buffered_urls_take_streamed_answers(url):
    page = url("page", "BUFFERED")
    wait_for("the gateway to know the mode", lambda: request(page, "/?fail=1").status == 502)
    answer = request(page, "/here")
    assert (answer.status, answer.getheader("x-path"), answer.read()) == (418, "/here", b"<p></p>")
