"""Asynchronous invocations with the real clients and the real binary: retries, destinations, and faults in between."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import uuid

import pytest
from conftest import EXAMPLES, TRUST_LAMBDA, Platform, wait_for
from test_lambda import ROLE, zipped

# One event in, one line with its payload in the log; `throw` fails, `slow` takes its time.
PYTHON = """
import json, time
def handler(event, context):
    print("RAN " + json.dumps({"id": context.aws_request_id, "event": event}), flush=True)
    if isinstance(event, dict) and event.get("throw"):
        raise ValueError("thrown")
    if isinstance(event, dict) and event.get("slow"):
        time.sleep(event["slow"])
    return {"said": event}
"""
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture(scope="module")
def own(make_platform):
    """A platform that tests here may kill, and that does not wait a minute before it tries again."""
    return make_platform("--async-retry-delays", "0.2,0.4")


def python_runtime():
    version = subprocess.run(["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                             capture_output=True, text=True).stdout.strip()
    return f"python{version}"


@pytest.fixture
def create(own):
    """Creates functions with names of their own and deletes them in the end."""
    made = []

    def make(name, **more):
        name = f"{name}-{uuid.uuid4().hex[:8]}"
        own.boto3("lambda").create_function(
            FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler", Timeout=10,
            Code={"ZipFile": zipped(index__py=PYTHON)}, **more)
        made.append(name)
        return name

    yield make
    for name in made:
        own.kubectl("delete", "function", name, "--ignore-not-found", check=False)


def send(platform, name, event, **more):
    return platform.boto3("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **more)


def ran(platform, name):
    """What the function has been called with so far, with the request ids."""
    done = platform.run("logs", f"function/{name}", "--tail", "100000", check=False)
    return [json.loads(line.split("RAN ", 1)[1]) for line in done.stdout.splitlines() if "RAN " in line]


def settings(platform, name, **event_invoke):
    platform.kubectl("patch", "function", name, "--type=merge", "-p", json.dumps({"spec": {"eventInvoke": event_invoke}}))


def metric(platform, name):
    """Counters of `/metrics` that have this name in their labels."""
    text = platform.kubectl("get", "--raw", "/metrics").stdout
    return [line for line in text.splitlines() if name in line]


def test_an_event_is_accepted_and_run(own, create):
    name = create("accepted")
    answer = send(own, name, {"n": 1})
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    assert "FunctionError" not in answer and "ExecutedVersion" not in answer
    id = answer["ResponseMetadata"]["RequestId"]
    wait_for("the run", lambda: ran(own, name) == [{"id": id, "event": {"n": 1}}])


def test_the_cli_and_the_old_operation(own, create, tmp_path):
    name = create("by-cli")
    shown = own.aws("lambda", "invoke", "--function-name", name, "--invocation-type", "Event",
                    "--payload", '{"n": 1}', str(tmp_path / "out"))
    assert json.loads(shown.stdout) == {"StatusCode": 202} and (tmp_path / "out").read_bytes() == b""
    assert own.boto3("lambda").invoke_async(FunctionName=name, InvokeArgs=b'{"n": 2}')["Status"] == 202
    wait_for("both runs", lambda: sorted(one["event"]["n"] for one in ran(own, name)) == [1, 2])


def test_failures_are_retried_under_the_same_id_and_recorded(own, create):
    name, sink = create("failing"), create("sink")
    settings(own, name, onFailure=ARN + sink)
    id = send(own, name, {"throw": True})["ResponseMetadata"]["RequestId"]
    record = wait_for("the record", lambda: ran(own, sink))[0]["event"]
    assert [one["id"] for one in ran(own, name)] == [id] * 3
    assert record["version"] == "1.0" and record["requestPayload"] == {"throw": True}
    assert record["requestContext"] == {
        "requestId": id, "functionArn": f"{ARN}{name}:$LATEST", "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "thrown"


def test_retries_can_be_switched_off_and_successes_recorded(own, create):
    name, sink = create("once"), create("sink")
    settings(own, name, maximumRetryAttempts=0, onFailure=ARN + sink, onSuccess=ARN + sink)
    send(own, name, {"throw": True})
    failed = wait_for("a record", lambda: ran(own, sink))[0]["event"]
    assert failed["requestContext"]["approximateInvokeCount"] == 1 and len(ran(own, name)) == 1
    send(own, name, {"n": 1})
    records = wait_for("another", lambda: len(ran(own, sink)) == 2 and ran(own, sink))
    success = next(one["event"] for one in records if one["event"]["requestPayload"] == {"n": 1})
    assert success["requestContext"]["condition"] == "Success"
    assert success["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert success["responsePayload"] == {"said": {"n": 1}}


def test_nothing_reserved_goes_straight_to_the_destination(own, create):
    name, sink = create("none"), create("sink")
    settings(own, name, onFailure=ARN + sink)
    own.boto3("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert send(own, name, {"n": 1})["StatusCode"] == 202
    record = wait_for("the record", lambda: ran(own, sink))[0]["event"]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0 and "responseContext" not in record
    assert ran(own, name) == []


def test_what_cannot_be_accepted_is_refused(own, create):
    name, client = create("refusing"), own.boto3("lambda")
    with pytest.raises(client.exceptions.RequestTooLargeException) as refused:
        client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps("x" * (1 << 20)))
    assert "too large for the Event invocation type" in str(refused.value)
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=name, InvocationType="Event", Payload="{")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke_async(FunctionName=name, InvokeArgs=json.dumps("x" * (256 << 10)))
    for missing in ({"FunctionName": "no-such-function"}, {"FunctionName": name, "Qualifier": "7"}):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.invoke(InvocationType="Event", Payload="{}", **missing)
    # What would be lost later is refused now: there is no such queue, and no such topic.
    own.boto3("sqs").create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})
    for target, why in ((QUEUE + "nobody", "there is no such queue"), (QUEUE + "ordered.fifo", "FIFO"),
                        ("arn:aws:sns:us-east-1:000000000000:dead", "there is no such topic"),
                        (ARN + name, "must be an SQS queue or an SNS topic")):
        with pytest.raises(client.exceptions.InvalidParameterValueException) as refused:
            client.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": target})
        assert why in str(refused.value)
    client.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})


def test_queues_take_records_and_dead_letters(own, create):
    name, client, sqs = create("to-queues"), own.boto3("lambda"), own.boto3("sqs")
    done, failed, dead = (sqs.create_queue(QueueName=f"{kind}-{name}")["QueueUrl"] for kind in ("done", "failed", "dead"))
    arns = {url: QUEUE + url.rsplit("/", 1)[1] for url in (done, failed, dead)}
    client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": arns[done]}, "OnFailure": {"Destination": arns[failed]}})
    client.update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": arns[dead]})
    assert client.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {"TargetArn": arns[dead]}

    def message(url):
        [one] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], AttributeNames=["All"])["Messages"]
        return one

    id = send(own, name, {"n": 1})["ResponseMetadata"]["RequestId"]
    record = json.loads(message(done)["Body"])
    assert record["requestContext"]["requestId"] == id and record["responsePayload"] == {"said": {"n": 1}}
    id = send(own, name, {"throw": True})["ResponseMetadata"]["RequestId"]
    record = json.loads(message(failed)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted" and record["requestContext"]["requestId"] == id
    letter = message(dead)
    assert json.loads(letter["Body"]) == {"throw": True}
    assert letter["MessageAttributes"] == {
        "RequestID": {"DataType": "String", "StringValue": id}, "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "thrown"}}
    sqs.delete_queue(QueueUrl=dead)
    send(own, name, {"throw": True})
    assert json.loads(message(failed)["Body"])["requestPayload"] == {"throw": True}, "one that is gone keeps nothing up"


def test_a_kill_loses_no_event(own, create):
    name = create("killed")
    own.boto3("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    # The first ones keep both instances busy, so that the kill finds some running and most waiting.
    events = [{"n": n, "slow": 0.3} for n in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda event: send(own, name, event), events))
    ids = {answer["ResponseMetadata"]["RequestId"] for answer in answers}
    assert len(ids) == 40
    wait_for("some runs", lambda: len(ran(own, name)) >= 3)
    os.kill(own.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in own.run("status", check=False).stdout)
    own.up()
    wait_for("every event", lambda: {one["id"] for one in ran(own, name)} >= ids, seconds=120)
    assert {one["event"]["n"] for one in ran(own, name)} == set(range(40))


def test_events_wait_for_the_next_start(own, create):
    name = create("waiting")
    own.boto3("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for n in range(5):
        send(own, name, {"n": n, "slow": 0.5})
    wait_for("a first run", lambda: ran(own, name))
    own.down()
    own.up()
    wait_for("every event", lambda: {one["event"]["n"] for one in ran(own, name)} == set(range(5)))
    # Stopping the platform is not a failure of the function: nothing was tried more often than it was interrupted.
    assert len(ran(own, name)) <= 7


def test_events_of_a_deleted_function_are_dropped(own, create):
    name, client = create("deleted"), own.boto3("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for n in range(5):
        send(own, name, {"n": n, "slow": 1})
    wait_for("a first run", lambda: ran(own, name))
    assert any("dory_function_async_events_waiting" in line for line in metric(own, name))
    client.delete_function(FunctionName=name)
    wait_for("an empty queue", lambda: not any("async_events_waiting" in line for line in metric(own, name)))
    dropped = [line for line in metric(own, name) if line.startswith("dory_function_async_events_dropped_total")]
    assert dropped and float(dropped[0].split()[-1]) >= 4


@pytest.fixture
def small_disk():
    """A platform on a disk of its own, small enough to be filled."""
    directory = tempfile.mkdtemp(prefix="dory-test-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", directory], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a file system here")
    platform = Platform(directory, "--async-retry-delays", "0.2,0.4").up()
    platform.boto3("iam").create_role(RoleName="test", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    yield platform
    platform.run("down", check=False)
    subprocess.run(["umount", "-l", directory])
    shutil.rmtree(directory, ignore_errors=True)


def test_a_full_disk_refuses_events_and_loses_none(small_disk):
    client = small_disk.boto3("lambda")
    client.create_function(FunctionName="full", Runtime="provided.al2023", Role=ROLE, Handler="bootstrap",
                           Code={"ZipFile": zipped(bootstrap=(EXAMPLES / "bootstrap").read_bytes())})
    # Nothing is run, so everything that is accepted stays queued.
    client.invoke(FunctionName="full", Payload="{}")
    small_disk.kubectl("patch", "function", "full", "--type=merge", "-p", '{"spec": {"runtime": "nodejs99.x"}}')
    accepted = 0
    payload = json.dumps("x" * 500_000)
    fill = pathlib.Path(small_disk.data) / "fill"
    for _ in range(3):
        assert client.invoke(FunctionName="full", InvocationType="Event", Payload=payload)["StatusCode"] == 202
        accepted += 1
    with open(fill, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
    with pytest.raises(client.exceptions.ServiceException) as refused:
        for _ in range(200):
            client.invoke(FunctionName="full", InvocationType="Event", Payload=payload)
            accepted += 1
    assert "no space is left" in str(refused.value)
    fill.unlink()
    wait_for("room again", lambda: client.invoke(FunctionName="full", InvocationType="Event", Payload=payload)["StatusCode"] == 202)
    waiting = lambda: [line for line in metric(small_disk, 'function="full"') if "async_events_waiting" in line]
    wait_for("what was accepted", lambda: waiting() and float(waiting()[0].split()[-1]) == accepted + 1)
