"""CloudWatch Logs and log formats, as the aws CLI and boto3 read them."""

import json
import re
import subprocess
import time

import botocore.exceptions
import pytest
from conftest import spoken, wait_for
from test_lambda import ROLE, python_runtime, zipped

PRINTS = """
def handler(event, context):
    for line in event.get("lines", []):
        print(line)
    if event.get("fail"):
        raise ValueError("as asked")
    return context.log_stream_name
"""


@pytest.fixture(scope="module")
def client(platform):
    return platform.boto3("logs")


@pytest.fixture
def function(platform, request):
    """Makes a function of the test's own that prints what it is told; gives a way to call it."""
    awslambda = platform.boto3("lambda")
    name = "logs-" + request.node.name.replace("_", "-")[:40]
    made = []

    def make(**more):
        awslambda.create_function(
            FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
            Code={"ZipFile": zipped(main__py=PRINTS)}, **more)
        made.append(name)

        def call(*lines, **event):
            answer = awslambda.invoke(FunctionName=name, Payload=json.dumps({"lines": lines, **event}))
            return json.loads(answer["Payload"].read())

        call.name = name
        call.aws = awslambda
        return call

    yield make
    for one in made:
        awslambda.delete_function(FunctionName=one)


def events(client, name, **more):
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", **more)
    return [event for page in pages for event in page["events"]]


def messages(client, name, **more):
    return [event["message"] for event in events(client, name, **more)]


def test_what_a_function_prints_is_found_by_group_stream_and_time(client, function):
    call = function()
    stream = call("one", "two words")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)
    group = f"/aws/lambda/{call.name}"
    shown = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [one["logGroupName"] for one in shown] == [group] and shown[0]["arn"].endswith(f":log-group:{group}:*")
    streams = client.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    assert [one["logStreamName"] for one in streams] == [stream]
    found = events(client, call.name)
    texts = [event["message"] for event in found]
    assert texts[0].startswith("START RequestId: ") and texts[1:3] == ["one", "two words"]
    assert texts[3].startswith("END RequestId: ") and re.match(r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\t", texts[4])
    assert len({event["eventId"] for event in found}) == 5 and {event["logStreamName"] for event in found} == {stream}
    assert found[0]["timestamp"] == streams[0]["firstEventTimestamp"] <= found[-1]["timestamp"]
    last = found[-1]["timestamp"]
    assert messages(client, call.name, startTime=last + 1) == [] == messages(client, call.name, endTime=1)
    assert messages(client, call.name, logStreamNamePrefix="1999/") == []
    assert len(messages(client, call.name, logStreamNames=[stream])) == 5
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_log_streams(logGroupName="/aws/lambda/nobody-logs-here")


def test_pages_and_tokens(client, function):
    call = function()
    stream = call(*[f"line {number}" for number in range(10)])
    group = f"/aws/lambda/{call.name}"
    texts = messages(client, call.name, PaginationConfig={"PageSize": 3})
    assert len(texts) == 13 and texts[1:11] == [f"line {number}" for number in range(10)]
    first = client.get_log_events(logGroupName=group, logStreamName=stream, limit=4, startFromHead=True)
    assert [event["message"] for event in first["events"]][1:] == ["line 0", "line 1", "line 2"]
    read, token = [], None
    for _ in range(10):
        more = {"nextToken": token} if token else {"startFromHead": True}
        page = client.get_log_events(logGroupName=group, logStreamName=stream, limit=5, **more)
        read += page["events"]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert len(read) == 13, "the token repeats at the end"
    newest = client.get_log_events(logGroupName=group, logStreamName=stream, limit=2)
    assert newest["events"][1]["message"].startswith("REPORT ")
    older = client.get_log_events(logGroupName=group, logStreamName=stream, limit=2, nextToken=newest["nextBackwardToken"])
    assert [event["message"] for event in older["events"]] == ["line 8", "line 9"]
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.filter_log_events(logGroupName=group, nextToken="nonsense")


def test_filter_patterns(client, function):
    call = function()
    call('{"level": "ERROR", "code": 503}', '{"level": "INFO", "code": 200}', "an ERROR in text", "quite fine")
    find = lambda pattern: messages(client, call.name, filterPattern=pattern)
    assert find('{ $.level = "ERROR" }') == ['{"level": "ERROR", "code": 503}']
    assert find("{ $.code >= 200 && $.code < 300 || $.code = 999 }") == ['{"level": "INFO", "code": 200}']
    assert find('ERROR -"level"') == ["an ERROR in text"]
    assert find('?"quite fine" ?503') == ['{"level": "ERROR", "code": 503}', "quite fine"]
    assert find("error") == []
    assert find("%[Ee]rror|ERR.R%") == ['{"level": "ERROR", "code": 503}', "an ERROR in text"]
    assert find("{ $.level = %^INF% && $.code = 2* }") == ['{"level": "INFO", "code": 200}']
    assert find("{ $.missing NOT EXISTS && $.level != %O.$% }") == ['{"level": "INFO", "code": 200}']
    assert find("[article = %^an?$%, ..., last]") == ["an ERROR in text"]
    for wrong in ("{ $.a ", "[a, b", '"open', "%(a|b)%", "[a = %x%, b = %y%, c = %z%]", "[..., a, ...]", "x" * 1025):
        with pytest.raises(client.exceptions.InvalidParameterException) as refused:
            find(wrong)
        said = refused.value.response["Error"]["Message"]
        assert ("Invalid filter pattern" if len(wrong) < 1024 else "less than or equal to 1024") in said


def test_space_delimited_patterns(client, function):
    call = function()
    ok = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
    server_error = '127.0.0.12 Prod frank [10/Oct/2000:13:25:16 -0700] "POST /api HTTP/1.0" 500 12'
    call(ok, server_error, "ERROR 12:00:02 Failed to process request", "ERROR")
    find = lambda pattern: messages(client, call.name, filterPattern=pattern)
    assert find("[ip, user, ..., status=4*, bytes>1000]") == [ok]
    assert find("[ip, user, username, timestamp, request, status = 404 || status >= 500, bytes]") == [ok, server_error]
    assert find(r"[ip=%127\.0\.0\.[1-9]$%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]") == [ok]
    assert find('[..., request = "POST *", status != 404 && status != 410, bytes]') == [server_error]
    assert find("[w1=ERROR, w2]") == ["ERROR 12:00:02 Failed to process request"]
    # What the platform itself logs has its fields between tabs, too.
    assert len(find('[r = REPORT, label = "RequestId:", id, d = "Duration:", took > 0, unit = ms, ...]')) == 1


def test_json_format_and_levels(client, function):
    call = function(LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG", "ApplicationLogLevel": "WARN"})
    shown = call.aws.get_function_configuration(FunctionName=call.name)["LoggingConfig"]
    assert shown == {"LogFormat": "JSON", "SystemLogLevel": "DEBUG", "ApplicationLogLevel": "WARN",
                     "LogGroup": f"/aws/lambda/{call.name}"}
    call('{"level": "debug", "n": 1}', '{"level": "error", "n": 2}')
    found = [json.loads(text) for text in messages(client, call.name)]
    types = [one["type"] for one in found if "type" in one]
    assert types == ["platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.start",
                     "platform.runtimeDone", "platform.report"]
    report = found[-1]["record"]
    assert report["status"] == "success" and {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB",
                                              "initDurationMs"} == set(report["metrics"])
    printed = [one for one in found if "n" in one]
    assert [one["n"] for one in printed] == [2], "what matters less than WARN is dropped"
    call.aws.update_function_configuration(
        FunctionName=call.name, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN"})
    before = len(messages(client, call.name))
    call()
    call(fail=True)
    fresh = [json.loads(text) for text in messages(client, call.name)[before:] if '"platform.' in text]
    assert [one["type"] for one in fresh] == ["platform.runtimeDone", "platform.report"]
    assert fresh[-1]["record"]["status"] == "error"
    for wrong in ({"LogFormat": "xml"}, {"LogFormat": "Text", "SystemLogLevel": "WARN"}):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            call.aws.update_function_configuration(FunctionName=call.name, LoggingConfig=wrong)
        assert refused.value.response["Error"]["Code"] in ("ValidationException", "InvalidParameterValueException")


def test_functions_may_share_a_group(client, platform, function):
    call = function(LoggingConfig={"LogGroup": "team/shared"})
    stream = call("here")
    assert f"/{call.name}[$LATEST][" in stream
    found = client.filter_log_events(logGroupName="team/shared", filterPattern="here")["events"]
    assert [event["logStreamName"] for event in found] == [stream]
    assert " here\n" in platform.run("logs", call.name).stdout
    client.delete_log_group(logGroupName="team/shared")


def test_groups_of_ones_own(client):
    group, stream = "tests/own", "a stream"
    client.create_log_group(logGroupName=group)
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    put = client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[
        {"timestamp": now - 2000, "message": "two\nlines"}, {"timestamp": now, "message": "last"},
        {"timestamp": now + 3 * 3_600_000, "message": "too new"}])
    assert put["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 2}
    read = client.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert [(event["timestamp"], event["message"]) for event in read] == [(now - 2000, "two\nlines"), (now, "last")]
    client.put_retention_policy(logGroupName=group, retentionInDays=7)
    shown = lambda: client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    assert shown()["retentionInDays"] == 7
    client.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in shown()
    for wrong in (
        lambda: client.put_retention_policy(logGroupName=group, retentionInDays=8),
        lambda: client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[]),
        lambda: client.create_log_group(logGroupName="no spaces"),
    ):
        with pytest.raises(client.exceptions.InvalidParameterException):
            wrong()
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_log_events(logGroupName=group, logStreamName="other", logEvents=[{"timestamp": now, "message": "x"}])
    client.delete_log_group(logGroupName=group)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_log_events(logGroupName=group, logStreamName=stream)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client.describe_metric_filters()
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"


def test_the_aws_cli_reads_logs(platform, function):
    call = function()
    call("seen by the CLI")
    group = f"/aws/lambda/{call.name}"
    shown = json.loads(platform.aws("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "CLI").stdout)
    assert [event["message"] for event in shown["events"]] == ["seen by the CLI"]
    assert group in platform.aws("logs", "describe-log-groups", "--query", "logGroups[].logGroupName").stdout


def cli2():
    """An aws CLI of version 2, which alone has `logs tail`; Debian's package is one."""
    for path in ("/usr/bin/aws", "/usr/local/bin/aws"):
        try:
            if subprocess.run([path, "--version"], capture_output=True, text=True).stdout.startswith("aws-cli/2"):
                return path
        except OSError:
            pass
    return None


def test_tail_follows(platform, function):
    aws = cli2() or pytest.skip("needs an aws CLI of version 2: apt-get install awscli")
    # Debian's does not know AWS_ENDPOINT_URL yet.
    tail = [aws, "--endpoint-url", platform.environment["AWS_ENDPOINT_URL"], "logs", "tail"]
    call = function()
    call("from before")
    group = f"/aws/lambda/{call.name}"
    follow = subprocess.Popen([*tail, group, "--follow", "--since", "10m", "--format", "short"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env={**platform.environment, "PYTHONUNBUFFERED": "1"})
    lines = spoken(follow)
    try:
        wait_for("the past", lambda: any("from before" in line for line in lines))
        call("while it follows")
        wait_for("the line to come by", lambda: any("while it follows" in line for line in lines))
    finally:
        follow.terminate()
        follow.wait()
    assert [line.split(" ", 1)[1] for line in lines if "from before" in line] == ["from before\n"]
    assert sum("while it follows" in line for line in lines) == 1
    for pattern in ("%^while .t f[a-z]+s$%", "[first = while, ..., last = follows]"):
        once = subprocess.run([*tail, group, "--filter-pattern", pattern], text=True, env=platform.environment,
                              capture_output=True, timeout=60)
        assert once.returncode == 0 and len(once.stdout.splitlines()) == 1 and "while it follows" in once.stdout, once


def lines_of(client, name):
    return [json.loads(text) for text in messages(client, name) if text.startswith("{") and '"type"' not in text]


def test_python_logs_json(platform, client):
    awslambda = platform.boto3("lambda")
    code = """
import logging
log = logging.getLogger("mine")
def handler(event, context):
    log.info("quiet")
    log.warning("loud %s", 1, extra={"order": 7})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("caught")
    raise ValueError("not caught")
"""
    awslambda.create_function(FunctionName="logs-json-python", Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
                              Code={"ZipFile": zipped(main__py=code)},
                              LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    awslambda.invoke(FunctionName="logs-json-python")
    warned, caught, thrown = lines_of(client, "logs-json-python")
    assert (warned["level"], warned["message"], warned["logger"], warned["order"]) == ("WARNING", "loud 1", "mine", 7)
    assert len(warned["requestId"]) == 36
    assert (caught["message"], caught["errorType"]) == ("caught", "ZeroDivisionError") and caught["stackTrace"]
    assert (thrown["log_level"], thrown["errorType"], thrown["errorMessage"]) == ("ERROR", "ValueError", "not caught")
    awslambda.delete_function(FunctionName="logs-json-python")


def test_node_logs_json(platform, client):
    awslambda = platform.boto3("lambda")
    code = """exports.handler = async () => {
      console.debug("quiet"); console.info({ order: 7 }); console.warn("loud %s", 1);
      console.error("failed", new RangeError("too far")); throw new TypeError("not caught"); };"""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().lstrip("v").split(".")[0]
    awslambda.create_function(FunctionName="logs-json-node", Runtime=f"nodejs{node or 22}.x", Role=ROLE,
                              Handler="index.handler", Code={"ZipFile": zipped(index__js=code)},
                              LoggingConfig={"LogFormat": "JSON"})
    awslambda.invoke(FunctionName="logs-json-node")
    info, warn, error, thrown = lines_of(client, "logs-json-node")
    assert (info["level"], info["message"]) == ("INFO", {"order": 7}) and len(info["requestId"]) == 36
    assert (warn["level"], warn["message"]) == ("WARN", "loud 1")
    assert error["message"].startswith("failed RangeError: too far") and error["errorType"] == "RangeError"
    assert thrown["level"] == "ERROR" and "not caught" in json.dumps(thrown)
    awslambda.delete_function(FunctionName="logs-json-node")
