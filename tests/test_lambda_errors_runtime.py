"""What goes wrong inside an instance, and what the next call finds: crashes, kills, broken answers, slow starts."""

import base64
import json
import os
import pathlib
import re
import signal
import threading

import pytest
from conftest import wait_for

from test_lambda import python_runtime, zipped

ROLE = "arn:aws:iam::000000000000:role/any"

# Speaks the Runtime API with bare sockets: says what it is told to, also what no sane runtime says.
RAW = """
import json, os, socket, sys, time

host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
BASE = '/2018-06-01/runtime/'

def send(text, path=None):
    connection = socket.create_connection((host, int(port)))
    connection.sendall(text.encode())
    return connection

def call(method, path, body='', headers='', base=BASE):
    connection = send(f'{method} {base}{path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n{headers}'
                      f'Content-Length: {len(body)}\\r\\n\\r\\n{body}')
    answer = b''
    while data := connection.recv(65536):
        answer += data
    head, _, content = answer.decode().partition('\\r\\n\\r\\n')
    return int(head.split()[1]), content, head

def respond(id, value):
    return call('POST', f'invocation/{id}/response', json.dumps(value))

def truncated(id, event):
    send(f'POST {BASE}invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n\\r\\n"half').close()

def cut_stream(id, event):
    connection = send(f'POST {BASE}invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n'
                      'Lambda-Runtime-Function-Response-Mode: streaming\\r\\n\\r\\n4\\r\\nhalf\\r\\n')
    time.sleep(0.2)
    connection.close()

def questions(id, event):
    cause = 'Lambda-Runtime-Function-XRay-Error-Cause: ' + 'x' * 900000 + '\\r\\n'
    asked = {
        'ping': call('GET', '/2018-06-01/ping', base=''),
        'other id': call('POST', 'invocation/8f507cfc-xmpl-4697-b07a-ac58fc914c95/response', '1'),
        'mode': call('POST', f'invocation/{id}/response', '1', 'Lambda-Runtime-Function-Response-Mode: fast\\r\\n'),
        'restore': call('GET', 'restore/next'),
        'init/error': call('POST', 'init/error', '{}'),
        'nothing': call('GET', 'invocation'),
        'next': call('GET', 'invocation/next'),
        'cause': call('POST', 'invocation/other/error', '{}', cause),
    }
    respond(id, {name: [status, content] for name, (status, content, _) in asked.items()})

def too_much(id, event):
    status, content, _ = respond(id, 'x' * (6 * 1024 * 1024 + 99))
    print('refused with', status, content)

def environment(id, event):
    respond(id, dict(os.environ))

def headers(id, sent):
    respond(id, sent)

while True:
    status, event, head = call('GET', 'invocation/next')
    if status != 200:
        time.sleep(0.05)  # What was cut off before is not noticed yet.
        continue
    sent = dict(line.split(': ', 1) for line in head.splitlines()[1:])
    globals()[json.loads(event)['do']](sent['lambda-runtime-aws-request-id'], sent)
"""

PYTHON = """
import os, sys, time
def handler(event, context):
    if event.get('sleep'):
        print('sleeping')
        time.sleep(event['sleep'])
    if event.get('exit') is not None:
        os._exit(event['exit'])
    if event.get('eat'):
        eaten = bytearray(event['eat'] * 1024 * 1024)
        return len(eaten)
    return {'trace': os.environ['_X_AMZN_TRACE_ID'], 'type': os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']}
"""


@pytest.fixture(scope="module")
def awslambda(platform):
    return platform.boto3("lambda")


@pytest.fixture(scope="module")
def create(awslambda):
    made = []

    def make(name, runtime=None, **more):
        settings = {"Timeout": 10, "Handler": "main.handler", "Runtime": runtime or python_runtime(), **more}
        awslambda.create_function(FunctionName=name, Role=ROLE, **settings)
        made.append(name)
        return name

    yield make
    for name in made:
        awslambda.delete_function(FunctionName=name)


@pytest.fixture(scope="module")
def slow_start(awslambda, create):
    """A function that never gets ready, called in the background: its ten seconds pass while other tests run."""
    name = create("errors-slow-start", Timeout=1, Code={"ZipFile": zipped(main__py="import time\ntime.sleep(1000)\n")})
    answers = []
    thread = threading.Thread(target=lambda: answers.append(invoke(awslambda, name)))
    thread.start()

    def join():
        thread.join()
        return answers[0]

    return join


@pytest.fixture(scope="module")
def raw(create, slow_start):
    """A function that is its own runtime, by the host's Python."""
    # A script that the interpreter runs as the handler's module never returns: it is the runtime from then on.
    return create("errors-raw", Handler="main.handler", Code={"ZipFile": zipped(main__py=RAW)}, Timeout=5)


@pytest.fixture(scope="module")
def python(create):
    # A variable that the interpreter reads at its start makes every instance a fresh one, which the host knows by its
    # environment.
    variables = {"Variables": {"PYTHONHASHSEED": "0"}}
    return create("errors-python", Code={"ZipFile": zipped(main__py=PYTHON)}, Environment=variables)


def invoke(awslambda, name, event=None):
    """The value, whether it is an error, and the log."""
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail")
    value = json.loads(answer["Payload"].read() or "null")
    return value, answer.get("FunctionError"), base64.b64decode(answer["LogResult"]).decode()


def host_process(name):
    """The runtime of this function as the host sees it."""
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"AWS_LAMBDA_FUNCTION_NAME={name}\0".encode() in path.read_bytes():
                return int(path.parent.name)
        except OSError:
            pass


def test_a_killed_runtime_is_told_and_replaced(platform, awslambda, python):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(invoke(awslambda, python, {"sleep": 9})))
    thread.start()
    wait_for("the event to be in work", lambda: "sleeping" in platform.run("logs", python, check=False).stdout)
    os.kill(host_process(python), signal.SIGKILL)
    thread.join()
    value, error, log = answers[0]
    request_id = re.search(r"START RequestId: (\S+)", log)[1]
    assert (error, value) == ("Unhandled", {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: signal: killed",
    })
    assert f"\nEND RequestId: {request_id}\nREPORT RequestId: {request_id}\t" in log
    assert log.endswith("\tStatus: error\tError Type: Runtime.ExitError\n")
    value, error, log = invoke(awslambda, python)
    assert error is None and "Init Duration: " in log, "a fresh instance answers"


@pytest.mark.parametrize("event, message", [
    ({"exit": 3}, "Runtime exited with error: exit status 3"),
    ({"exit": 0}, "Runtime exited without providing a reason"),
    ({"eat": 500}, "Runtime exited with error: signal: killed"),
])
def test_ends_are_told_by_their_reason(awslambda, python, event, message):
    value, error, log = invoke(awslambda, python, event)
    assert (error, value["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert value["errorMessage"].endswith(f" Error: {message}")
    kind = "Runtime.OutOfMemory" if "eat" in event else "Runtime.ExitError"
    assert log.endswith(f"\tStatus: error\tError Type: {kind}\n")


def test_every_invocation_has_a_trace(awslambda, python):
    value, _, _ = invoke(awslambda, python)
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0(;.*)?", value["trace"])
    assert value["type"] == "on-demand"


def test_the_runtime_api_refuses_what_does_not_fit(awslambda, raw):
    answers, error, _ = invoke(awslambda, raw, {"do": "questions"})
    assert error is None
    kinds = {}
    for name, (status, content) in answers.items():
        kinds[name] = (status, json.loads(content)["errorType"] if content.startswith("{") else content)
    assert kinds == {
        "ping": (200, "pong"), "other id": (400, "InvalidRequestID"), "mode": (400, "InvalidFunctionResponseMode"),
        "restore": (403, "InvalidStateTransition"), "init/error": (403, "InvalidStateTransition"),
        "nothing": (404, "NotFound"), "next": (403, "InvalidStateTransition"), "cause": (400, "InvalidRequestID"),
    }


def test_an_answer_that_is_too_large_is_refused_and_the_runtime_lives_on(awslambda, raw):
    value, error, log = invoke(awslambda, raw, {"do": "too_much"})
    assert error == "Unhandled" and value == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    _, error, log = invoke(awslambda, raw, {"do": "headers"})
    assert error is None and "Init Duration" not in log


def test_answers_that_break_off_are_told(awslambda, raw):
    value, error, _ = invoke(awslambda, raw, {"do": "truncated"})
    assert (error, value["errorType"]) == ("Unhandled", "Runtime.TruncatedResponse")
    stream = awslambda.invoke_with_response_stream(FunctionName=raw, Payload='{"do": "cut_stream"}')["EventStream"]
    first, last = list(stream)
    assert first["PayloadChunk"]["Payload"] == b"half"
    assert json.loads(last["InvokeComplete"]["ErrorDetails"])["errorType"] == "Runtime.TruncatedResponse"


def test_events_come_with_their_headers(awslambda, raw):
    context = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    answer = awslambda.invoke(FunctionName=raw, Payload='{"do": "headers"}', ClientContext=context)
    sent = {name.lower(): value for name, value in json.loads(answer["Payload"].read()).items()}
    assert sent["lambda-runtime-aws-request-id"] == answer["ResponseMetadata"]["RequestId"]
    assert sent["lambda-runtime-invoked-function-arn"].endswith(f":function:{raw}")
    assert json.loads(sent["lambda-runtime-client-context"]) == {"custom": {"k": "v"}}
    assert int(sent["lambda-runtime-deadline-ms"]) > 0 and sent["lambda-runtime-trace-id"].startswith("Root=1-")


def test_the_environment_is_that_of_lambda(awslambda, raw):
    env, _, _ = invoke(awslambda, raw, {"do": "environment"})
    expected = {
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_NAME": raw,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "TZ": ":UTC",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{raw}",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "_HANDLER": "main.handler", "PYTHONPATH": "/var/runtime", "AWS_EXECUTION_ENV": f"AWS_Lambda_{python_runtime()}",
    }
    assert {name: env.get(name) for name in expected} == expected
    # The interpreter's own directory comes first where it is another one, as /var/lang/bin does on Lambda.
    assert env["PATH"].endswith("/usr/local/bin:/usr/bin:/bin:/opt/bin"), env["PATH"]
    assert "/opt/lib" in env["LD_LIBRARY_PATH"] and "[$LATEST]" in env["AWS_LAMBDA_LOG_STREAM_NAME"]


@pytest.mark.parametrize("code, kind, message", [
    ("import os\nos._exit(7)\n", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
    ("import nothing_here\n", "Runtime.ImportModuleError",
     "Unable to import module 'main': No module named 'nothing_here'"),
])
def test_a_start_that_fails_is_tried_once_more_and_told(awslambda, create, code, kind, message):
    name = create("errors-init-" + kind.split(".")[1].lower(), Code={"ZipFile": zipped(main__py=code)})
    value, error, log = invoke(awslambda, name)
    assert (error, value["errorType"]) == ("Unhandled", kind) and value["errorMessage"].endswith(message)
    pattern = rf"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: invoke\tStatus: error\tError Type: {kind}\n"
    assert re.search(pattern, log), log


def test_a_program_that_cannot_run_is_told(awslambda, create):
    code = zipped(bootstrap="#!/no/such/interpreter\n")
    name = create("errors-entrypoint", runtime="provided.al2023", Code={"ZipFile": code})
    value, error, _ = invoke(awslambda, name)
    assert (error, value["errorType"]) == ("Unhandled", "Runtime.InvalidEntrypoint")
    assert value["errorMessage"].endswith("Error: fork/exec /var/task/bootstrap: no such file or directory")


def test_a_start_without_end_is_stopped(platform, slow_start):
    value, error, log = slow_start()
    assert (error, value["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert value["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert re.search(r"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: invoke\tStatus: timeout\n", log), log
    whole = platform.run("logs", "errors-slow-start").stdout
    assert re.search(r"INIT_REPORT Init Duration: 1\d{4}\.\d\d ms\tPhase: init\tStatus: timeout\n", whole), whole
