"""Lambda extensions: the Extensions API, the Telemetry API and the Logs API, with extensions in Python and one written with
AWS's own crate."""

import datetime
import json
import os
import re
import subprocess

import pytest
from conftest import EXAMPLES, ROOT, TARGET, wait_for

from test_lambda import ROLE, awslambda, create, invoke, python_runtime, zipped  # noqa: F401 (fixtures)

# What every extension below begins with.
HEAD = """#!/usr/bin/env python3
import http.client, http.server, json, os, sys, threading, time

NAME = os.path.basename(sys.argv[0])

def say(*words):
    print(NAME + ':', *words, flush=True)

def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, response.read().decode(), response.headers

def register(*events, name=NAME, **headers):
    headers = {'Lambda-Extension-Name': name, **headers}
    status, text, got = call('POST', '/2020-01-01/extension/register', {'events': events}, headers)
    return status, text, {'Lambda-Extension-Identifier': got.get('Lambda-Extension-Identifier', '')}

def next_event(me):
    status, text, headers = call('GET', '/2020-01-01/extension/event/next', headers=me)
    assert status == 200 and headers['Lambda-Extension-Event-Identifier'], text
    return json.loads(text)

def error(me, phase, kind):
    return call('POST', f'/2020-01-01/extension/{phase}/error', {}, {**me, 'Lambda-Extension-Function-Error-Type': kind})

"""

# Registers for everything and tells each event.
TELLS = HEAD + """
status, text, me = register('INVOKE', 'SHUTDOWN', **{'Lambda-Extension-Accept-Feature': 'accountId'})
say('registered', status, text)
while True:
    event = next_event(me)
    say('event', json.dumps(event))
    if event['eventType'] == 'SHUTDOWN':
        break
    WORK
"""

# Listens, subscribes, and prints the records it gets one by one: as what Python reads, each after its type.
HEARS = HEAD + """
class Listener(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        records = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        for record in records:
            # Where it asks for the lines of extensions its own come back, and each time longer.
            if not str(record['record']).startswith(NAME + ': heard'):
                say('heard', record['type'], json.dumps(record))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('sandbox.localdomain', 8080), Listener)
threading.Thread(target=server.serve_forever, daemon=True).start()
_, _, me = register('INVOKE', 'SHUTDOWN')
document = {'destination': {'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain:8080/in'}, 'buffering': {'timeoutMs': 25}, **DOCUMENT}
say('subscribed', *call('PUT', PATH, document, me)[:2])
while True:
    event = next_event(me)
    if event['eventType'] == 'SHUTDOWN':
        # What is left comes with the event, or just before.
        time.sleep(0.4)
        break
    LATE
"""

# Answers, and says when it starts and when it is asked to end.
HANDLER = """
import os, signal, sys, time

print('runtime: starts', flush=True)

def handler(event, context):
    print('runtime: works', flush=True)
    if event.get('hang'):
        time.sleep(60)
    if event.get('exit'):
        os._exit(3)
    return {'had': event}
"""

# A runtime of its own, which handles SIGTERM.
BOOTSTRAP = HEAD + """
import signal

def ends(*_):
    say('SIGTERM')
    sys.exit(0)

signal.signal(signal.SIGTERM, ends)
say('starts')
INTERNAL
while True:
    _, event, headers = call('GET', '/2018-06-01/runtime/invocation/next')
    id = headers['Lambda-Runtime-Aws-Request-Id']
    call('POST', f'/2018-06-01/runtime/invocation/{id}/response', {'had': json.loads(event)})
"""


@pytest.fixture(scope="module")
def logs(platform):
    client = platform.boto3("logs")

    def read(name):
        """All lines of a function's log, in order."""
        try:
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
            return [event["message"].rstrip("\n") for page in pages for event in page["events"]]
        except client.exceptions.ResourceNotFoundException:
            return []

    return read


@pytest.fixture
def extended(awslambda, create):
    """Creates a function with these extensions, by file name; takes it and its layer away afterwards."""
    made = []

    def make(name, extensions, code=None, runtime=None, handler="main.handler", **more):
        files = {f"extensions/{file}": text for file, text in extensions.items()}
        layer = awslambda.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(**files)})
        made.append((name, layer["Version"]))
        code = code or zipped(main__py=HANDLER)
        more = {"Timeout": 30, "Layers": [layer["LayerVersionArn"]], **more}
        create(name, code, runtime or python_runtime(), handler, **more)

    yield make
    for name, version in made:
        awslambda.delete_function(FunctionName=name)
        awslambda.delete_layer_version(LayerName=name, VersionNumber=version)


def events_of(lines, name):
    """The events that an extension made of TELLS was told."""
    return [json.loads(line.split(": event ", 1)[1]) for line in lines if line.startswith(f"{name}: event ")]


def in_order(lines, *wanted):
    """Whether lines that contain these come in this order."""
    rest = iter(lines)
    for one in wanted:
        assert any(one in line for line in rest), f"{one!r} does not follow in {lines}"


def test_an_extension_lives_with_its_function(platform, extended, awslambda, logs):
    slow = TELLS.replace("WORK", "time.sleep(2); say('worked')")
    only_end = HEAD + "_, _, me = register('SHUTDOWN')\nsay(next_event(me)['shutdownReason'])\n"
    bootstrap = zipped(bootstrap=BOOTSTRAP.replace("INTERNAL", ""))
    extended("ext-life", {"agent": slow, "second": only_end}, bootstrap, "provided.al2023", "main.handler")
    answer, value = invoke(awslambda, "ext-life", {"a": 1})
    assert value == {"had": {"a": 1}} and "FunctionError" not in answer
    # The answer is there while the extension still works on it, so the invocation is not over.
    id = answer["ResponseMetadata"]["RequestId"]
    assert not any(line.startswith(f"REPORT RequestId: {id}") for line in logs("ext-life"))
    # Both are told of the end; which of them says so first is up to them.
    over = lambda lines: "second: spindown" in lines and len(events_of(lines, "agent")) == 2
    lines = wait_for("the end of the instance", lambda: over(lines := logs("ext-life")) and lines)
    in_order(lines, "agent: registered", "bootstrap: starts", "EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE,SHUTDOWN]",
             "EXTENSION\tName: second\tState: Ready\tEvents: [SHUTDOWN]", f"START RequestId: {id}", "agent: worked",
             f"END RequestId: {id}", f"REPORT RequestId: {id}", "bootstrap: SIGTERM", "agent: event")
    registered = next(line for line in lines if line.startswith("agent: registered"))
    assert json.loads(registered.split("200 ", 1)[1]) == {
        "functionName": "ext-life", "functionVersion": "$LATEST", "handler": "main.handler", "accountId": "000000000000"}
    asked, ended = events_of(lines, "agent")
    assert asked["eventType"] == "INVOKE" and asked["requestId"] == id
    assert asked["invokedFunctionArn"].endswith(":function:ext-life") and asked["tracing"]["value"].startswith("Root=")
    assert ended["eventType"] == "SHUTDOWN" and ended["shutdownReason"] == "spindown" and ended["deadlineMs"] > asked["deadlineMs"] - 30_000
    report = next(line for line in lines if line.startswith("REPORT"))
    assert float(re.search(r"Duration: ([\d.]+) ms", report).group(1)) >= 2000, "extensions count"
    now = datetime.datetime.now(datetime.timezone.utc)
    metric = platform.boto3("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda", MetricName="PostRuntimeExtensionsDuration", Period=60, Statistics=["Maximum"],
        Dimensions=[{"Name": "FunctionName", "Value": "ext-life"}],
        StartTime=now - datetime.timedelta(minutes=10), EndTime=now + datetime.timedelta(minutes=1))
    assert metric["Datapoints"][0]["Maximum"] >= 1900


def test_a_tail_of_the_log_waits_for_extensions(extended, awslambda):
    import base64

    extended("ext-tail", {"agent": TELLS.replace("WORK", "say('worked')")})
    tail = base64.b64decode(invoke(awslambda, "ext-tail", LogType="Tail")[0]["LogResult"]).decode()
    in_order(tail.splitlines(), "START", "agent: worked", "END", "REPORT")


def test_extensions_get_their_environment(extended, awslambda, logs):
    body = HEAD + """
_, _, me = register('INVOKE')
say('env', json.dumps(dict(os.environ)))
while next_event(me):
    pass
"""
    extended("ext-env", {"agent": body}, Environment={"Variables": {"OWN": "yes"}})
    invoke(awslambda, "ext-env")
    env = json.loads(next(line for line in logs("ext-env") if line.startswith("agent: env")).split("env ", 1)[1])
    assert env["OWN"] == "yes" and env["AWS_LAMBDA_FUNCTION_NAME"] == "ext-env" and env["AWS_ACCESS_KEY_ID"]
    runtime_only = {"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME"}
    assert not runtime_only & set(env)


REGISTERS = HEAD + "_, _, me = register('INVOKE', 'SHUTDOWN')\n"


@pytest.mark.parametrize("name, extension, kind, message, state", [
    ("init", REGISTERS + "error(me, 'init', 'Agent.NoKey')\nsys.exit(0)\n", "Extension.InitError", "exit code 0",
     "State: InitError\tEvents: [INVOKE,SHUTDOWN]\tError Type: Agent.NoKey"),
    ("crash", HEAD + "sys.exit(7)\n", "Extension.Crash", "exit status 7", "State: Started\tEvents: []"),
    ("exit", REGISTERS + "next_event(me)\nerror(me, 'exit', 'Agent.Broken')\nsys.exit(2)\n", "Extension.ExitError", "exit status 2",
     "State: Ready"),
    ("dies", REGISTERS + "next_event(me)\nos.kill(os.getpid(), 9)\n", "Extension.Crash", "signal: killed", "State: Ready"),
    ("binary", "not a program at all", "Extension.LaunchError", "fork/exec /opt/extensions/agent: exec format error", "State: LaunchError"),
])
def test_an_extension_that_fails_fails_its_function(extended, awslambda, logs, name, extension, kind, message, state):
    name = f"ext-{name}"
    hangs = zipped(main__py="import time\n\ndef handler(event, context):\n    time.sleep(60)\n")
    extended(name, {"agent": extension}, hangs)
    answer, value = invoke(awslambda, name)
    id = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert value == {"errorType": kind, "errorMessage": f"RequestId: {id} Error: {message}"}
    lines = logs(name)
    assert any(line.startswith("EXTENSION\tName: agent\t") and state in line for line in lines), lines
    report = next(line for line in lines if line.startswith(f"REPORT RequestId: {id}"))
    assert report.endswith(f"Status: error\tError Type: {kind}")
    if state != "State: Ready":
        assert any(line.startswith("INIT_REPORT") and f"Error Type: {kind}" in line for line in lines)


def test_ten_extensions_are_allowed(extended, awslambda, logs):
    waits = REGISTERS + "while next_event(me)['eventType'] != 'SHUTDOWN':\n    pass\n"
    extended("ext-eleven", {f"agent{number:02}": "#!/bin/sh\nsleep 60\n" for number in range(11)})
    answer, value = invoke(awslambda, "ext-eleven")
    assert value["errorType"] == "Extension.LaunchError" and "Extension limit (10) reached" in value["errorMessage"]
    assert any("Name: agent10\tState: LaunchError\tEvents: []\tError Type: TooManyExtensions" in line for line in logs("ext-eleven"))
    extended("ext-two", {f"agent{number}": waits for number in range(2)})
    assert invoke(awslambda, "ext-two", {"b": 2})[1] == {"had": {"b": 2}}


def test_a_timeout_and_a_crash_are_told(extended, awslambda, logs):
    tells = TELLS.replace("WORK", "pass")
    extended("ext-hang", {"agent": tells}, Timeout=2)
    answer, value = invoke(awslambda, "ext-hang", {"hang": True})
    assert value["errorType"] == "Sandbox.Timedout"
    reasons = lambda: [event["shutdownReason"] for event in events_of(logs("ext-hang"), "agent") if "shutdownReason" in event]
    wait_for("the shutdown", lambda: reasons() == ["timeout"])
    answer, value = invoke(awslambda, "ext-hang", {"exit": True})
    assert value["errorType"] == "Runtime.ExitError"
    wait_for("the shutdown", lambda: reasons() == ["timeout", "failure"])


def test_extensions_count_against_the_timeout(extended, awslambda, logs):
    extended("ext-slow", {"agent": TELLS.replace("WORK", "time.sleep(60)")}, Timeout=2)
    answer, value = invoke(awslambda, "ext-slow", {"c": 3})
    id = answer["ResponseMetadata"]["RequestId"]
    assert value == {"had": {"c": 3}}, "the runtime had answered"
    report = wait_for("the report", lambda: next((line for line in logs("ext-slow") if line.startswith(f"REPORT RequestId: {id}")), None))
    assert report.endswith("Status: timeout")
    assert any(f"{id} Task timed out after 2.00 seconds" in line for line in logs("ext-slow"))


def test_an_internal_extension(awslambda, create, logs):
    internal = """
say('asked', register('SHUTDOWN', name='inner')[:2])
_, _, me = register('INVOKE', name='inner')
say('asked', register('INVOKE', name='inner')[1])
def run():
    while True:
        say('inner', next_event(me)['eventType'])
threading.Thread(target=run, daemon=True).start()
"""
    create("ext-inner", zipped(bootstrap=BOOTSTRAP.replace("INTERNAL", internal)), Timeout=30)
    assert invoke(awslambda, "ext-inner", {"d": 4})[1] == {"had": {"d": 4}}
    # It has 500 ms to say so, which a loaded machine may not give it: then the next instance has.
    for attempt in range(4):
        try:
            lines = wait_for("the end", lambda: (lines := logs("ext-inner")) and "bootstrap: SIGTERM" in lines and lines, 8)
            break
        except AssertionError:
            assert attempt < 3
            invoke(awslambda, "ext-inner", {})
    in_order(lines, "Extension.InvalidEventType", "Extension.InvalidExtensionState", "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]",
             "START", "bootstrap: inner INVOKE", "END", "bootstrap: SIGTERM")
    awslambda.delete_function(FunctionName="ext-inner")


def heard(lines, name="agent"):
    """The records that an extension made of HEARS got, in order."""
    return [json.loads(line.split(" ", 3)[3]) for line in lines if line.startswith(f"{name}: heard ")]


def hears(path="/2022-07-01/telemetry", late="pass", **document):
    document = {"schemaVersion": "2022-12-13", "types": ["platform", "function"], **document}
    return HEARS.replace("DOCUMENT", repr(document)).replace("PATH", repr(path)).replace("LATE", late)


def test_telemetry_tells_the_whole_story(extended, awslambda, logs):
    late = "say('late', *call('PUT', '/2022-07-01/telemetry', document, me)[:2])"
    extended("ext-tele", {"agent": hears(late=late)})
    ids = [invoke(awslambda, "ext-tele", {"n": n})[0]["ResponseMetadata"]["RequestId"] for n in range(2)]
    reports = lambda: [record for record in heard(logs("ext-tele")) if record["type"] == "platform.report"]
    wait_for("both reports", lambda: len(reports()) == 2)
    lines = logs("ext-tele")
    assert 'agent: subscribed 200 "OK"' in lines
    in_order(lines, "TELEMETRY\tName: agent\tState: Subscribed\tTypes: [platform, function]", "EXTENSION\tName: agent\tState: Ready")
    assert any("agent: late 403" in line and "Telemetry.SubscriptionClosed" in line for line in lines)
    records = heard(lines)
    kinds = [record["type"] for record in records if record["type"] != "function"]
    invocation = ["platform.start", "platform.runtimeDone", "platform.report"]
    assert kinds == ["platform.initStart", "platform.telemetrySubscription", "platform.initRuntimeDone", "platform.extension",
                     "platform.initReport", *invocation, *invocation]
    told = {record["type"]: record["record"] for record in records}
    assert told["platform.initStart"] | {"instanceId": None} == {
        "initializationType": "on-demand", "phase": "init", "functionName": "ext-tele", "functionVersion": "$LATEST",
        "instanceId": None, "instanceMaxMemory": 128 * 1024 * 1024}
    assert told["platform.initRuntimeDone"] == {"initializationType": "on-demand", "phase": "init", "status": "success"}
    assert told["platform.initReport"]["metrics"]["durationMs"] > 0
    assert told["platform.extension"] == {"name": "agent", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    start, done, report = told["platform.start"], told["platform.runtimeDone"], told["platform.report"]
    assert (start["requestId"], start["version"]) == (ids[1], "$LATEST") and start["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert (done["requestId"], done["status"], done["metrics"]["producedBytes"]) == (ids[1], "success", len(json.dumps({"had": {"n": 1}})))
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert report["metrics"]["memorySizeMB"] == 128 and report["metrics"]["billedDurationMs"] >= 1
    assert "initDurationMs" in reports()[0]["record"]["metrics"] and "initDurationMs" not in report["metrics"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"]) for record in records)
    printed = [record["record"] for record in records if record["type"] == "function"]
    assert printed == ["runtime: starts", "runtime: works", "runtime: works"]


def test_a_failing_invocation_is_told_too(extended, awslambda, logs):
    extended("ext-fails", {"agent": hears(types=["platform"])}, Timeout=2)
    invoke(awslambda, "ext-fails", {"hang": True})
    done = lambda: [record["record"] for record in heard(logs("ext-fails")) if record["type"] in ("platform.runtimeDone", "platform.report")]
    wait_for("the records", lambda: len(done()) == 2)
    assert [record["status"] for record in done()] == ["timeout", "timeout"]
    invoke(awslambda, "ext-fails", {"exit": True})
    wait_for("the records", lambda: len(done()) == 4)
    assert [(record["status"], record["errorType"]) for record in done()[2:]] == [("error", "Runtime.ExitError")] * 2


def test_lines_of_json_and_the_older_api(extended, awslambda, logs):
    prints = "import json\n\ndef handler(event, context):\n    print(json.dumps({'level': 'INFO', 'message': 'hi'}))\n    return 1\n"
    extended("ext-json", {"agent": hears(types=["function"])}, zipped(main__py=prints), LoggingConfig={"LogFormat": "JSON"})
    invoke(awslambda, "ext-json")
    lines = wait_for("the line", lambda: heard(logs("ext-json")))
    assert lines[0]["record"] == {"level": "INFO", "message": "hi"}
    old = hears("/2020-08-15/logs", schemaVersion="2021-03-18", types=["platform", "extension"])
    talks = HEAD + "_, _, me = register('INVOKE')\nsay('talks')\nwhile next_event(me):\n    pass\n"
    extended("ext-logs", {"agent": old, "talker": talks})
    id = invoke(awslambda, "ext-logs")[0]["ResponseMetadata"]["RequestId"]
    told = lambda: {record["type"]: record["record"] for record in heard(logs("ext-logs"))}
    wait_for("the report", lambda: "platform.report" in told())
    told = told()
    assert told["platform.logsSubscription"] == {"name": "agent", "state": "Subscribed", "types": ["platform", "extension"]}
    assert told["platform.start"] == {"requestId": id, "version": "$LATEST"} and told["platform.end"] == {"requestId": id}
    assert told["platform.runtimeDone"] == {"requestId": id, "status": "success"}
    assert set(told["platform.report"]) == {"requestId", "metrics"} and "platform.initStart" not in told
    in_order(logs("ext-logs"), "LOGS\tName: agent\tState: Subscribed\tTypes: [platform, extension]")


def test_bad_subscriptions_are_refused(extended, awslambda, logs):
    asks = HEAD + """
_, _, me = register('INVOKE')
good = {'schemaVersion': '2022-07-01', 'types': ['platform'], 'destination': {'protocol': 'TCP', 'port': 7000}}
def ask(who=me, path='/2022-07-01/telemetry', **change):
    status, text, _ = call('PUT', path, {**good, **change}, who)
    say('asked', status, text)
ask(types=['metrics'])
ask(buffering={'maxItems': 1})
ask(destination={'protocol': 'HTTP', 'URI': 'http://example.com/'})
ask(who={})
ask(who={'Lambda-Extension-Identifier': '11111111-2222-3333-4444-555555555555'})
ask()
ask(path='/2020-08-15/logs', schemaVersion='2020-08-15')
while next_event(me):
    pass
"""
    extended("ext-asks", {"agent": asks})
    invoke(awslambda, "ext-asks")
    answers = [line.split(" ", 3)[2:] for line in logs("ext-asks") if line.startswith("agent: asked")]
    assert [status for status, _ in answers] == ["400", "400", "400", "403", "403", "200", "400"]
    kinds = [json.loads(text).get("errorType") for status, text in answers if status != "200"]
    assert kinds == ["ValidationError"] * 3 + ["Extension.MissingExtensionIdentifier", "Extension.UnknownExtensionIdentifier", "ValidationError"]


def test_a_slow_listener_loses_records_and_holds_up_nobody(extended, awslambda, logs):
    deaf = HEAD + """
import socket
server = socket.create_server(('127.0.0.1', 7000))
_, _, me = register('INVOKE', 'SHUTDOWN')
document = {'schemaVersion': '2022-07-01', 'types': ['function', 'platform'], 'buffering': {'timeoutMs': 25, 'maxItems': 1000},
            'destination': {'protocol': 'TCP', 'port': 7000}}
call('PUT', '/2022-07-01/telemetry', document, me)
server.settimeout(10)
def read(connection):
    for line in connection.makefile():
        if 'logsDropped' in line:
            say('lost', line.strip())
events = 0
while True:
    event = next_event(me)
    events += 1
    if events == 2:
        # Only now.
        threading.Thread(target=read, args=[server.accept()[0]], daemon=True).start()
    if event['eventType'] == 'SHUTDOWN':
        time.sleep(0.4)
        break
"""
    floods = "def handler(event, context):\n    print('\\n'.join('x' * 1000 for _ in range(event.get('lines', 0))))\n    return 1\n"
    extended("ext-deaf", {"agent": deaf}, zipped(main__py=floods), Timeout=20)
    assert invoke(awslambda, "ext-deaf", {"lines": 12000})[1] == 1
    assert invoke(awslambda, "ext-deaf")[1] == 1
    lost = lambda: [json.loads(line.split("lost ", 1)[1])["record"] for line in logs("ext-deaf") if line.startswith("agent: lost")]
    wait_for("word of what was lost", lambda: sum(record["droppedRecords"] for record in lost()) > 1000)
    assert all(record["droppedBytes"] > 1000 * record["droppedRecords"] and "fallen behind" in record["reason"] for record in lost())


@pytest.fixture(scope="module")
def official():
    """An extension written with AWS's own crate, static; built when it is not there."""
    built = EXAMPLES / "official-extension"
    if not built.exists():
        static = {**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static -C relocation-model=static"}
        subprocess.run(
            ["cargo", "build", "--quiet", "--release", "--target", TARGET, "--manifest-path", "tests/clients/extension/Cargo.toml",
             "--target-dir", "target/examples"], check=True, cwd=ROOT, env=static)
    return built.read_bytes()


@pytest.mark.parametrize("api", ["telemetry", "logs"])
def test_an_extension_of_the_official_crate(extended, awslambda, logs, official, api):
    name = f"ext-official-{api}"
    extended(name, {"official-extension": official}, Environment={"Variables": {"OFFICIAL_API": api}})
    id = invoke(awslambda, name)[0]["ResponseMetadata"]["RequestId"]
    said = lambda: [line.removeprefix("official: ") for line in logs(name) if line.startswith("official: ")]
    wait_for("the end", lambda: "SHUTDOWN spindown" in said())
    lines = said()
    assert f"INVOKE {id}" in lines and 'function line "runtime: works"' in lines
    told = "report Success of 128 MB" if api == "telemetry" else f'told of PlatformEnd {{ request_id: "{id}" }}'
    assert told in lines, lines
    # What the crate cannot read it refuses, and then it is dropped.
    assert not any("LogsDropped" in line for line in lines), lines


def test_a_start_that_is_tried_again_is_a_phase_of_the_invocation(extended, awslambda, logs):
    """As in "Telemetry API Event schema reference": `phase` is `init`, or `invoke` for one that an event waits for."""
    extended("ext-again", {"agent": hears()}, zipped(main__py="import os\n\nos._exit(3)\n"))
    answer, value = invoke(awslambda, "ext-again")
    assert value["errorType"] == "Runtime.ExitError"
    def phases(kind):
        return [record["record"]["phase"] for record in heard(logs("ext-again")) if record["type"] == kind]
    for kind in ("platform.initStart", "platform.initRuntimeDone", "platform.initReport"):
        wait_for(f"both starts in {kind}", lambda: phases(kind) == ["init", "invoke"])


def test_extensions_hear_of_the_end_of_the_platform(make_platform):
    """`dory down` gives the shutdown phase to instances that have one, and waits for it."""
    platform = make_platform()
    awslambda, logs = platform.boto3("lambda"), platform.boto3("logs")
    layer = awslambda.publish_layer_version(
        LayerName="ends", Content={"ZipFile": zipped(**{"extensions/agent": TELLS.replace("WORK", "pass") + "say('goes')\n"})})
    internal = "_, _, me = register('INVOKE', name='inner')\nthreading.Thread(target=lambda: [next_event(me) for _ in range(9)], daemon=True).start()\n"
    for name, code, layers in (("outer", "", [layer["LayerVersionArn"]]), ("inner", internal, [])):
        awslambda.create_function(
            FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="main.handler", Layers=layers,
            Code={"ZipFile": zipped(bootstrap=BOOTSTRAP.replace("INTERNAL", code))}, Timeout=30)
        assert invoke(awslambda, name, {"a": 1})[1] == {"had": {"a": 1}}
    platform.run("down")
    platform.up()
    logs = platform.boto3("logs")
    def lines(name):
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"].rstrip("\n") for event in events]
    in_order(lines("outer"), "bootstrap: SIGTERM", "agent: event", "agent: goes")
    assert events_of(lines("outer"), "agent")[-1]["shutdownReason"] == "spindown"
    assert "bootstrap: SIGTERM" in lines("inner")
