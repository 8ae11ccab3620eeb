"""Event source mappings of SQS with the real clients: functions get messages in batches, and what fails comes back."""

import hashlib
import json
import os
import signal
import uuid

import botocore.exceptions
import pytest
from conftest import wait_for
from test_lambda import ROLE, python_runtime, zipped

ACCOUNT = "000000000000"
# What it got goes to the log; bodies say what to do.
PYTHON = """
import json, time
def handler(event, context):
    print("GOT " + json.dumps({"event": event, "arn": context.invoked_function_arn}), flush=True)
    bodies = [record["body"] for record in event["Records"]]
    if "throw" in bodies:
        raise ValueError("as asked")
    if any(body.startswith("slow") for body in bodies):
        time.sleep(0.5)
    bad = [record["messageId"] for record in event["Records"] if record["body"].startswith("bad")]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in bad]}
"""


@pytest.fixture(scope="module")
def own(make_platform):
    return make_platform()


@pytest.fixture(scope="module")
def sqs(own):
    return own.boto3("sqs")


@pytest.fixture(scope="module")
def awslambda(own):
    return own.boto3("lambda")


@pytest.fixture
def world(own, sqs, awslambda):
    """Makes functions, queues and mappings with names of their own, and removes them in the end."""

    class World:
        def __init__(self):
            self.functions, self.queues, self.mappings = [], [], []

        def function(self, name="fn", **more):
            name = f"{name}-{uuid.uuid4().hex[:8]}"
            awslambda.create_function(
                FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler", Timeout=1,
                Code={"ZipFile": zipped(index__py=PYTHON)}, **more)
            self.functions.append(name)
            return name

        def queue(self, suffix="", **attributes):
            if suffix == ".fifo":
                attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
            attributes = {key: str(value) for key, value in {"VisibilityTimeout": 2, **attributes}.items()}
            self.queues.append(sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}{suffix}", Attributes=attributes)["QueueUrl"])
            return self.queues[-1]

        def map(self, url, name, **more):
            made = awslambda.create_event_source_mapping(FunctionName=name, EventSourceArn=arn(url), **more)
            self.mappings.append(made["UUID"])
            return made

    made = World()
    yield made
    for one in made.mappings:
        try:
            awslambda.delete_event_source_mapping(UUID=one)
        except awslambda.exceptions.ResourceNotFoundException:
            pass
    for name in made.functions:
        own.kubectl("delete", "function", name, "--ignore-not-found", check=False)
    for url in made.queues:
        sqs.delete_queue(QueueUrl=url)


def arn(url):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:" + url.rsplit("/", 1)[1]


def got(platform, name):
    """The events that a function has had so far."""
    done = platform.run("logs", f"function/{name}", "--tail", "100000", check=False)
    return [json.loads(line.split("GOT ", 1)[1]) for line in done.stdout.splitlines() if "GOT " in line]


def bodies(platform, name):
    return [[record["body"] for record in one["event"]["Records"]] for one in got(platform, name)]


def flat(lists):
    return [item for one in lists for item in one]


def counts(sqs, url):
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(shown["ApproximateNumberOfMessages"]), int(shown["ApproximateNumberOfMessagesNotVisible"])


def send_all(sqs, url, texts, **more):
    for at in range(0, len(texts), 10):
        sqs.send_message_batch(QueueUrl=url, Entries=[
            {"Id": str(n), "MessageBody": text, **more} for n, text in enumerate(texts[at:at + 10])])


def test_a_function_gets_messages_as_on_aws(own, sqs, world):
    name, url = world.function(), world.queue()
    world.map(url, name)
    attribute = {"k": {"DataType": "String", "StringValue": "v"}, "b": {"DataType": "Binary", "BinaryValue": b"\0\1"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="hello", MessageAttributes=attribute)
    [one] = wait_for("the event", lambda: got(own, name))
    assert one["arn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}" and list(one["event"]) == ["Records"]
    [record] = one["event"]["Records"]
    system = record.pop("attributes")
    assert system.pop("SentTimestamp") <= system.pop("ApproximateFirstReceiveTimestamp")
    assert system == {"ApproximateReceiveCount": "1", "SenderId": ACCOUNT}
    assert record.pop("receiptHandle")
    lists = {"stringListValues": [], "binaryListValues": []}
    assert record == {
        "messageId": sent["MessageId"], "body": "hello", "md5OfBody": hashlib.md5(b"hello").hexdigest(),
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"], "eventSource": "aws:sqs", "eventSourceARN": arn(url),
        "awsRegion": "us-east-1",
        "messageAttributes": {
            "k": {"stringValue": "v", "dataType": "String", **lists}, "b": {"binaryValue": "AAE=", "dataType": "Binary", **lists}},
    }
    wait_for("an empty queue", lambda: counts(sqs, url) == (0, 0))


def test_a_mapping_is_made_changed_and_deleted(own, sqs, awslambda, world):
    name, url = world.function(), world.queue()
    made = world.map(url, name, Enabled=False, BatchSize=3, ScalingConfig={"MaximumConcurrency": 2},
                     FunctionResponseTypes=["ReportBatchItemFailures"], FilterCriteria={"Filters": [{"Pattern": '{"body": ["x"]}'}]})
    uid = made["UUID"]
    assert made["State"] == "Disabled" and made["EventSourceArn"] == arn(url) and made["BatchSize"] == 3
    assert made["FunctionArn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    assert made["EventSourceMappingArn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:{uid}"
    assert made["MaximumBatchingWindowInSeconds"] == 0 and made["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert made["FilterCriteria"] == {"Filters": [{"Pattern": '{"body": ["x"]}'}]} and made["LastModified"]
    strip = lambda answer: {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    assert strip(awslambda.get_event_source_mapping(UUID=uid)) == strip(made)
    for how in ({"FunctionName": name}, {"EventSourceArn": arn(url)}, {"FunctionName": name, "EventSourceArn": arn(url)}):
        assert [one["UUID"] for one in awslambda.list_event_source_mappings(**how)["EventSourceMappings"]] == [uid]
    assert awslambda.list_event_source_mappings(FunctionName="nobody")["EventSourceMappings"] == []
    with pytest.raises(awslambda.exceptions.ResourceConflictException) as refused:
        world.map(url, name)
    assert uid in str(refused.value)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    changed = awslambda.update_event_source_mapping(UUID=uid, Enabled=True, ScalingConfig={}, FilterCriteria={}, BatchSize=1)
    assert changed["State"] == "Enabled" and "ScalingConfig" not in changed and "FilterCriteria" not in changed
    wait_for("the message", lambda: bodies(own, name) == [["x"]])
    row = own.kubectl("get", "eventsourcemappings", uid).stdout.splitlines()[-1].split()
    assert row[:4] == [uid, name, url.rsplit("/", 1)[1], "true"]
    assert awslambda.delete_event_source_mapping(UUID=uid)["State"] == "Deleting"
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_event_source_mapping(UUID=uid)
    sqs.send_message(QueueUrl=url, MessageBody="later")
    assert counts(sqs, url) == (1, 0)


def test_what_cannot_be_mapped(own, sqs, awslambda, world):
    name, url, ordered = world.function(), world.queue(), world.queue(".fifo")
    for more, why in [
        ({"BatchSize": 11}, "must be greater than 0"), ({"StartingPosition": "LATEST"}, "StartingPosition"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "Invalid filter pattern"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"body": [{"wildcard": "*"}]}'}]}}, "wildcard is not supported by dory"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"body": ["x"]}'}] * 6}}, "at most 5"),
        ({"Tags": {"a": "b"}}, "Tags"), ({"DestinationConfig": {"OnFailure": {"Destination": arn(url)}}}, "DestinationConfig"),
    ]:
        with pytest.raises(awslambda.exceptions.InvalidParameterValueException) as refused:
            world.map(url, name, **more)
        assert why in str(refused.value)
    for more in ({"BatchSize": 11, "MaximumBatchingWindowInSeconds": 1}, {"MaximumBatchingWindowInSeconds": 1}):
        with pytest.raises(awslambda.exceptions.InvalidParameterValueException):
            world.map(ordered, name, **more)
    for wrong in ({"BatchSize": 0}, {"ScalingConfig": {"MaximumConcurrency": 1}}, {"FunctionResponseTypes": ["Other"]}):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            world.map(url, name, **wrong)
        assert refused.value.response["Error"]["Code"] == "ValidationException"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    with pytest.raises(awslambda.exceptions.InvalidParameterValueException) as refused:
        world.map(url, name)
    assert "Queue visibility timeout: 0 seconds is less than Function timeout: 1 seconds" in str(refused.value)
    with pytest.raises(awslambda.exceptions.InvalidParameterValueException):
        awslambda.create_event_source_mapping(
            FunctionName=name, EventSourceArn=f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s", StartingPosition="LATEST")


def test_a_batch_that_fails_comes_back_and_is_a_dead_letter(own, sqs, world):
    name, url, dead = world.function(), world.queue(), world.queue()
    policy = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": 2})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    send_all(sqs, url, ["throw", "good"])
    world.map(url, name)
    letters = wait_for("dead letters", lambda: counts(sqs, dead)[0] == 2)
    assert letters and bodies(own, name) == [["throw", "good"]] * 2, "the whole batch, twice"
    assert counts(sqs, url) == (0, 0)


def test_only_what_is_reported_comes_back(own, sqs, world):
    name, url, dead = world.function(), world.queue(), world.queue()
    policy = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": 2})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    send_all(sqs, url, ["one", "bad two", "three"])
    world.map(url, name, FunctionResponseTypes=["ReportBatchItemFailures"])
    wait_for("a dead letter", lambda: counts(sqs, dead)[0] == 1)
    assert bodies(own, name) == [["one", "bad two", "three"], ["bad two"]]
    [letter] = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
    assert letter["Body"] == "bad two" and letter["Attributes"]["DeadLetterQueueSourceArn"] == arn(url)


def test_groups_keep_their_order(own, sqs, world):
    name, url = world.function(), world.queue(".fifo", VisibilityTimeout=30)
    for n in range(12):
        for group in "abc":
            sqs.send_message(QueueUrl=url, MessageBody=f"slow {group}{n:02}", MessageGroupId=group)
    world.map(url, name, BatchSize=4)
    wait_for("every message", lambda: len(flat(bodies(own, name))) >= 36)
    events = got(own, name)
    seen = flat([record["body"] for record in one["event"]["Records"]] for one in events)
    for group in "abc":
        assert [body for body in seen if body.startswith(f"slow {group}")] == [f"slow {group}{n:02}" for n in range(12)]
    record = events[0]["event"]["Records"][0]
    assert record["attributes"]["MessageGroupId"] in "abc" and len(record["attributes"]["SequenceNumber"]) == 20


def test_filters_and_the_window(own, sqs, world):
    name, url = world.function(), world.queue(VisibilityTimeout=60)
    pattern = json.dumps({"body": {"kind": ["order"], "total": [{"numeric": [">", 10]}]}})
    world.map(url, name, FilterCriteria={"Filters": [{"Pattern": pattern}]}, BatchSize=100, MaximumBatchingWindowInSeconds=2)
    send_all(sqs, url, [json.dumps({"kind": kind, "total": n}) for n in range(20) for kind in ("order", "other")])
    wait_for("the event", lambda: got(own, name))
    wait_for("an empty queue", lambda: counts(sqs, url) == (0, 0))
    totals = [json.loads(body)["total"] for body in flat(bodies(own, name))]
    assert sorted(totals) == list(range(11, 20)) and len(got(own, name)) == 1, "one batch of all that came in two seconds"


def test_aliases_and_limits_of_concurrency(own, sqs, awslambda, world):
    name, url = world.function(), world.queue(VisibilityTimeout=60)
    awslambda.publish_version(FunctionName=name)
    awslambda.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    send_all(sqs, url, [f"slow {n}" for n in range(30)])
    made = world.map(url, f"{name}:live", BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    assert made["FunctionArn"].endswith(f":function:{name}:live")
    most = 0

    def done():
        nonlocal most
        most = max(most, counts(sqs, url)[1])
        return counts(sqs, url) == (0, 0)

    wait_for("an empty queue", done, seconds=120)
    assert 1 <= most <= 3, "two are worked on, and one may be waiting for its turn"
    events = got(own, name)
    assert len(events) == 30 and {one["arn"].rsplit(":", 1)[1] for one in events} == {"live"}


def test_nothing_is_lost_without_concurrency(own, sqs, awslambda, world):
    name, url = world.function(), world.queue(VisibilityTimeout=2)
    awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    world.map(url, name)
    send_all(sqs, url, ["a", "b"])
    assert counts(sqs, url) == (2, 0), "nothing is received in vain"
    awslambda.delete_function_concurrency(FunctionName=name)
    wait_for("both", lambda: sorted(flat(bodies(own, name))) == ["a", "b"])


def test_a_large_batch_is_cut(own, sqs, world):
    name, url = world.function(MemorySize=512), world.queue(VisibilityTimeout=60)
    for n in range(9):
        sqs.send_message(QueueUrl=url, MessageBody=str(n) * 1_000_000)
    world.map(url, name, BatchSize=10)
    wait_for("an empty queue", lambda: counts(sqs, url) == (0, 0), seconds=120)


def test_a_kill_loses_no_message(own, awslambda, world):
    sqs = own.boto3("sqs")
    name, url = world.function(), world.queue(VisibilityTimeout=30)
    texts = [f"slow {n}" for n in range(60)]
    send_all(sqs, url, texts)
    world.map(url, name, BatchSize=2)
    wait_for("some runs", lambda: len(got(own, name)) >= 2)
    os.kill(own.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in own.run("status", check=False).stdout)
    own.up()
    wait_for("every message", lambda: set(flat(bodies(own, name))) == set(texts), seconds=120)
    world.mappings.clear()
    world.queues.clear()
