"""Amazon SQS with boto3, the aws CLI and the older query format: every operation, and each error that can happen."""

import concurrent.futures
import hashlib
import json
import os
import signal
import time
import urllib.parse
import uuid

import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import wait_for

ACCOUNT = "000000000000"
ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}:"


@pytest.fixture(scope="module")
def sqs(platform):
    return platform.boto3("sqs")


@pytest.fixture
def queue(sqs):
    """Makes queues with names of their own; gives their URLs and deletes them in the end."""
    made = []

    def make(suffix="", **attributes):
        name = f"q-{uuid.uuid4().hex[:10]}{suffix}"
        if suffix == ".fifo":
            attributes["FifoQueue"] = "true"
        made.append(sqs.create_queue(QueueName=name, Attributes={k: str(v) for k, v in attributes.items()})["QueueUrl"])
        return made[-1]

    yield make
    for url in made:
        try:
            sqs.delete_queue(QueueUrl=url)
        except sqs.exceptions.QueueDoesNotExist:
            pass


def arn(url):
    return ARN + url.rsplit("/", 1)[1]


def bodies(answer):
    return [message["Body"] for message in answer.get("Messages", [])]


def receive(sqs, url, **more):
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **more)


def attributes(sqs, url, *names):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names or ["All"]).get("Attributes", {})


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response


def test_queues_come_are_found_and_go(platform, sqs, queue):
    url = queue(DelaySeconds=7)
    name = url.rsplit("/", 1)[1]
    assert url == f"{platform.environment['AWS_ENDPOINT_URL']}/{ACCOUNT}/{name}"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "7"})["QueueUrl"] == url
    refused("QueueAlreadyExists", sqs.create_queue, QueueName=name, Attributes={"DelaySeconds": "8"})
    assert sqs.list_queues(QueueNamePrefix=name)["QueueUrls"] == [url]
    more = [queue() for _ in range(4)]
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="q-", PaginationConfig={"PageSize": 2})
    listed = [one for page in pages for one in page["QueueUrls"]]
    assert listed == sorted(listed) and {url, *more} <= set(listed)
    sqs.delete_queue(QueueUrl=url)
    error = refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName=name)
    assert error["Error"]["QueryErrorCode"] == "QueueDoesNotExist" and error["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == url, "at once, with other attributes"
    sqs.delete_queue(QueueUrl=url)


def test_attributes_are_kept_and_checked(sqs, queue):
    url = queue()
    shown = attributes(sqs, url)
    assert shown["QueueArn"] == arn(url) and shown["VisibilityTimeout"] == "30" and shown["MaximumMessageSize"] == "1048576"
    assert shown["MessageRetentionPeriod"] == "345600" and shown["SqsManagedSseEnabled"] == "true"
    assert "FifoQueue" not in shown and "Policy" not in shown and abs(int(shown["CreatedTimestamp"]) - time.time()) < 60
    wanted = {
        "VisibilityTimeout": "1", "DelaySeconds": "2", "MaximumMessageSize": "1024", "MessageRetentionPeriod": "60",
        "ReceiveMessageWaitTimeSeconds": "3", "SqsManagedSseEnabled": "false",
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
    assert attributes(sqs, url).items() >= wanted.items()
    assert attributes(sqs, url, "DelaySeconds") == {"DelaySeconds": "2"}
    for name, value in [
        ("DelaySeconds", "901"), ("DelaySeconds", "x"), ("VisibilityTimeout", "43201"), ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"), ("MessageRetentionPeriod", "59"), ("ReceiveMessageWaitTimeSeconds", "21"),
        ("Policy", "{"), ("SqsManagedSseEnabled", "maybe"), ("KmsMasterKeyId", "alias/aws/sqs"), ("FifoQueue", "true"),
    ]:
        refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes={name: value})
    for name in ("Colour", "QueueArn", "ContentBasedDeduplication"):
        refused("InvalidAttributeName", sqs.set_queue_attributes, QueueUrl=url, Attributes={name: "true"})
    refused("InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"])
    refused("InvalidAttributeName", sqs.create_queue, QueueName="other", Attributes={"Colour": "red"})
    for name in ("a b", "x" * 81, "x.fifo"):
        refused("InvalidParameterValue", sqs.create_queue, QueueName=name)
    refused("InvalidParameterValue", sqs.create_queue, QueueName="x", Attributes={"FifoQueue": "true"})
    refused("MissingParameter", sqs.create_queue)


def test_a_message_with_its_attributes_arrives_as_it_was_sent(sqs, queue):
    url = queue()
    given = {
        "text": {"DataType": "String", "StringValue": "ü"},
        "size": {"DataType": "Number.int", "StringValue": "7"},
        "image.png": {"DataType": "Binary.png", "BinaryValue": b"\0\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    body = "grüße " + "x" * 5000
    # boto3 checks both digests itself, when a message is sent and when it is received.
    sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=given, MessageSystemAttributes=trace)
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest() and len(sent["MD5OfMessageAttributes"]) == 32
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32 and "SequenceNumber" not in sent
    [message] = receive(sqs, url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])["Messages"]
    assert message["Body"] == body and message["MessageId"] == sent["MessageId"] and message["MessageAttributes"] == given
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    system = message["Attributes"]
    assert system["ApproximateReceiveCount"] == "1" and system["SenderId"] == ACCOUNT
    assert system["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert abs(int(system["SentTimestamp"]) / 1000 - time.time()) < 60
    assert int(system["SentTimestamp"]) <= int(system["ApproximateFirstReceiveTimestamp"])
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    [again] = receive(sqs, url, MessageAttributeNames=["image.*"], AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert list(again["MessageAttributes"]) == ["image.png"] and again["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert again["ReceiptHandle"] != message["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert attributes(sqs, url)["ApproximateNumberOfMessages"] == "0"


def test_what_cannot_be_sent(sqs, queue):
    url, small, ordered = queue(), queue(MaximumMessageSize=1024), queue(".fifo")
    send = sqs.send_message
    refused("InvalidMessageContents", send, QueueUrl=url, MessageBody="a\u0000b")
    refused("MissingParameter", send, QueueUrl=url, MessageBody="")
    refused("InvalidParameterValue", send, QueueUrl=small, MessageBody="x" * 1025)
    refused("InvalidParameterValue", send, QueueUrl=url, MessageBody="x", DelaySeconds=901)
    text = {"DataType": "String", "StringValue": "x"}
    for wrong in [
        {f"a{n}": text for n in range(11)}, {"aws.x": text}, {"a": {"DataType": "Text", "StringValue": "x"}},
        {"a": {"DataType": "Number", "StringValue": "x"}}, {"a": {"DataType": "String", "StringValue": ""}},
    ]:
        refused("InvalidParameterValue", send, QueueUrl=url, MessageBody="x", MessageAttributes=wrong)
    refused("AWS.SimpleQueueService.UnsupportedOperation", send, QueueUrl=url, MessageBody="x",
            MessageAttributes={"a": {"DataType": "String", "StringListValues": ["x"]}})
    refused("InvalidParameterValue", send, QueueUrl=url, MessageBody="x", MessageSystemAttributes={"Other": text})
    refused("InvalidParameterValue", send, QueueUrl=url, MessageBody="x", MessageDeduplicationId="x")
    refused("InvalidParameterValue", send, QueueUrl=url, MessageBody="x", MessageGroupId="a b")
    refused("MissingParameter", send, QueueUrl=ordered, MessageBody="x", MessageDeduplicationId="x")
    refused("InvalidParameterValue", send, QueueUrl=ordered, MessageBody="x", MessageGroupId="g")
    refused("InvalidParameterValue", send, QueueUrl=ordered, MessageBody="x", MessageGroupId="g",
            MessageDeduplicationId="x", DelaySeconds=1)
    refused("InvalidAddress", send, QueueUrl="http://localhost/a/b/c", MessageBody="x")
    refused("MissingParameter", send, MessageBody="x")
    send(QueueUrl=url, MessageBody="x" * (1 << 20))
    assert len(bodies(receive(sqs, url))[0]) == 1 << 20
    send(QueueUrl=url, MessageBody="fair", MessageGroupId="tenant")
    [message] = receive(sqs, url, AttributeNames=["MessageGroupId"])["Messages"]
    assert message["Attributes"] == {"MessageGroupId": "tenant"}


def test_visibility_delay_and_long_polling(sqs, queue):
    # Longer than a busy machine takes for the calls that look at what is delayed or hidden.
    url = queue(VisibilityTimeout=4)
    began = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=5)
    assert receive(sqs, url) .get("Messages") is None
    assert attributes(sqs, url)["ApproximateNumberOfMessagesDelayed"] == "1"
    [message] = receive(sqs, url, WaitTimeSeconds=20)["Messages"]
    assert time.monotonic() - began > 4.9
    assert attributes(sqs, url)["ApproximateNumberOfMessagesNotVisible"] == "1"
    [again] = receive(sqs, url, WaitTimeSeconds=20, VisibilityTimeout=600)["Messages"]
    assert time.monotonic() - began > 8.9, "it waited for the visibility timeout"
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0)
    refused("AWS.SimpleQueueService.MessageNotInflight", sqs.change_message_visibility,
            QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=5)
    refused("InvalidParameterValue", sqs.change_message_visibility,
            QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=43201)
    refused("ReceiptHandleIsInvalid", sqs.change_message_visibility,
            QueueUrl=url, ReceiptHandle="nonsense", VisibilityTimeout=5)
    refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")
    refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=queue(), ReceiptHandle=again["ReceiptHandle"])
    refused("MissingParameter", sqs.delete_message, QueueUrl=url)
    for wrong in ({"WaitTimeSeconds": 21}, {"VisibilityTimeout": -1}, {"ReceiveRequestAttemptId": "x"}):
        refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, **wrong)
    refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
    refused("InvalidAttributeName", sqs.receive_message, QueueUrl=url, AttributeNames=["Colour"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    [left] = receive(sqs, url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=left["ReceiptHandle"])
    refused("InvalidParameterValue", sqs.change_message_visibility,
            QueueUrl=url, ReceiptHandle=left["ReceiptHandle"], VisibilityTimeout=5)


def test_who_waits_gets_a_message_at_once(sqs, queue):
    url = queue(ReceiveMessageWaitTimeSeconds=20)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receive, sqs, url)
        wait_for("a receiver that waits", waiting.running)
        began = time.monotonic()
        sqs.send_message(QueueUrl=url, MessageBody="now")
        assert bodies(waiting.result()) == ["now"] and time.monotonic() - began < 19


def test_batches(sqs, queue):
    url = queue()
    entries = [{"Id": f"m{n}", "MessageBody": f"body {n}"} for n in range(9)] + [{"Id": "bad", "MessageBody": "\u0001"}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == [f"m{n}" for n in range(9)]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("bad", "InvalidMessageContents", True)
    received = receive(sqs, url)["Messages"]
    assert sorted(message["Body"] for message in received) == [f"body {n}" for n in range(9)]
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(received)]
    hidden = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**one, "VisibilityTimeout": 600} for one in handles] + [
            {"Id": "x", "ReceiptHandle": "nonsense", "VisibilityTimeout": 1}])
    assert len(hidden["Successful"]) == 9 and hidden["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    gone = sqs.delete_message_batch(QueueUrl=url, Entries=handles + [{"Id": "x", "ReceiptHandle": "nonsense"}])
    assert len(gone["Successful"]) == 9 and gone["Failed"][0]["Id"] == "x"
    assert attributes(sqs, url)["ApproximateNumberOfMessagesNotVisible"] == "0"
    code = "AWS.SimpleQueueService."
    for call, entry in [
        (sqs.send_message_batch, {"MessageBody": "x"}), (sqs.delete_message_batch, {"ReceiptHandle": "x"}),
        (sqs.change_message_visibility_batch, {"ReceiptHandle": "x", "VisibilityTimeout": 1}),
    ]:
        refused(code + "EmptyBatchRequest", call, QueueUrl=url, Entries=[])
        refused(code + "TooManyEntriesInBatchRequest", call, QueueUrl=url, Entries=[{"Id": str(n), **entry} for n in range(11)])
        refused(code + "BatchEntryIdsNotDistinct", call, QueueUrl=url, Entries=[{"Id": "a", **entry}] * 2)
        refused(code + "InvalidBatchEntryId", call, QueueUrl=url, Entries=[{"Id": "a b", **entry}])
    big = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
    refused(code + "BatchRequestTooLong", sqs.send_message_batch, QueueUrl=url, Entries=big)


def test_fifo_order_and_deduplication(sqs, queue):
    url = queue(".fifo", ContentBasedDeduplication="true", VisibilityTimeout=2)
    shown = attributes(sqs, url)
    assert shown["FifoQueue"] == "true" and shown["DeduplicationScope"] == "queue" and shown["FifoThroughputLimit"] == "perQueue"
    sent = [sqs.send_message(QueueUrl=url, MessageBody=f"{group}{n}", MessageGroupId=group) for n in range(3) for group in "ab"]
    numbers = [one["SequenceNumber"] for one in sent]
    assert numbers == sorted(numbers) and all(len(number) == 20 for number in numbers)
    repeated = sqs.send_message(QueueUrl=url, MessageBody="a0", MessageGroupId="a")
    assert (repeated["MessageId"], repeated["SequenceNumber"]) == (sent[0]["MessageId"], numbers[0])
    first = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2, AttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in first] == ["a0", "a1"]
    assert first[0]["Attributes"]["MessageGroupId"] == "a" and first[0]["Attributes"]["SequenceNumber"] == numbers[0]
    assert first[0]["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"a0").hexdigest()
    second = receive(sqs, url, VisibilityTimeout=30)
    assert bodies(second) == ["b0", "b1", "b2"], "a2 waits for those of its group that are out"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    third = receive(sqs, url, WaitTimeSeconds=20)
    assert bodies(third) == ["a1", "a2"]
    refused("InvalidParameterValue", sqs.delete_message, QueueUrl=url, ReceiptHandle=first[1]["ReceiptHandle"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"})
    assert attributes(sqs, url)["FifoThroughputLimit"] == "perMessageGroupId"
    other = sqs.send_message(QueueUrl=url, MessageBody="a0", MessageGroupId="c")
    assert other["MessageId"] != sent[0]["MessageId"]
    again = [receive(sqs, url, ReceiveRequestAttemptId="one") for _ in range(2)]
    assert bodies(again[0]) == ["a0"] and again[0]["Messages"][0]["ReceiptHandle"] == again[1]["Messages"][0]["ReceiptHandle"]
    refused("InvalidParameterValue", sqs.set_queue_attributes, QueueUrl=url, Attributes={"DeduplicationScope": "queue"})


def test_dead_letters_and_their_way_back(sqs, queue):
    dead, url = queue(), queue(VisibilityTimeout=0)
    policy = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": 2})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    assert json.loads(attributes(sqs, url)["RedrivePolicy"]) == json.loads(policy)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    assert sqs.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"] == []
    sent = sqs.send_message(QueueUrl=url, MessageBody="bad")
    assert [bodies(receive(sqs, url)) for _ in range(3)] == [["bad"], ["bad"], []]
    [letter] = receive(sqs, dead, AttributeNames=["All"], VisibilityTimeout=0)["Messages"]
    assert letter["MessageId"] == sent["MessageId"] and letter["Attributes"]["DeadLetterQueueSourceArn"] == arn(url)
    assert letter["Attributes"]["ApproximateReceiveCount"] == "3"
    handle = sqs.start_message_move_task(SourceArn=arn(dead), MaxNumberOfMessagesPerSecond=100)["TaskHandle"]
    [task] = wait_for("the task is done", lambda: [
        task for task in sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"] if task["Status"] == "COMPLETED"])
    assert task["ApproximateNumberOfMessagesMoved"] == 1 and task["SourceArn"] == arn(dead) and "TaskHandle" not in task
    [back] = receive(sqs, url)["Messages"]
    assert back["Body"] == "bad" and back["MessageId"] != sent["MessageId"]
    refused("ResourceNotFoundException", sqs.cancel_message_move_task, TaskHandle=handle)
    refused("InvalidParameterValue", sqs.cancel_message_move_task, TaskHandle="nonsense")
    refused("InvalidParameterValue", sqs.start_message_move_task, SourceArn=arn(url))
    refused("ResourceNotFoundException", sqs.start_message_move_task, SourceArn=ARN + "nobody")
    refused("ResourceNotFoundException", sqs.list_message_move_tasks, SourceArn=ARN + "nobody")
    for body in "abc":
        sqs.send_message(QueueUrl=dead, MessageBody=body)
    slow = sqs.start_message_move_task(SourceArn=arn(dead), DestinationArn=arn(url), MaxNumberOfMessagesPerSecond=1)
    refused("AWS.SimpleQueueService.UnsupportedOperation", sqs.start_message_move_task, SourceArn=arn(dead))
    assert sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"][0]["TaskHandle"] == slow["TaskHandle"]
    assert sqs.cancel_message_move_task(TaskHandle=slow["TaskHandle"])["ApproximateNumberOfMessagesMoved"] < 3
    wait_for("it is cancelled", lambda: sqs.list_message_move_tasks(SourceArn=arn(dead), MaxResults=10)["Results"][0]["Status"] == "CANCELLED")


def test_redrive_policies_are_checked(sqs, queue):
    dead, url, ordered = queue(), queue(), queue(".fifo")

    def wrong(target, policy, name="RedrivePolicy"):
        text = policy if isinstance(policy, str) else json.dumps(policy)
        refused("InvalidParameterValue", sqs.set_queue_attributes, QueueUrl=target, Attributes={name: text})

    for policy in [
        "{", {"maxReceiveCount": 1}, {"deadLetterTargetArn": arn(dead)}, {"deadLetterTargetArn": arn(dead), "maxReceiveCount": 0},
        {"deadLetterTargetArn": ARN + "nobody", "maxReceiveCount": 1}, {"deadLetterTargetArn": arn(url), "maxReceiveCount": 1},
        {"deadLetterTargetArn": arn(ordered), "maxReceiveCount": 1}, {"deadLetterTargetArn": arn(dead), "maxReceiveCount": 1, "x": 1},
    ]:
        wrong(url, policy)
    for policy in [{"redrivePermission": "some"}, {"redrivePermission": "byQueue"},
                   {"redrivePermission": "denyAll", "sourceQueueArns": [arn(url)]}]:
        wrong(dead, policy, "RedriveAllowPolicy")
    policy = {"deadLetterTargetArn": arn(dead), "maxReceiveCount": "5"}
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})})
    wrong(url, policy)
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [arn(url)]}
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(allowed)})
    assert json.loads(attributes(sqs, dead)["RedriveAllowPolicy"]) == allowed
    wrong(queue(), policy)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert "RedrivePolicy" not in attributes(sqs, url)


def test_tags_and_permissions(sqs, queue):
    url = queue()
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)
    sqs.tag_queue(QueueUrl=url, Tags={"a": "1", "b": ""})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a", "c"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": ""}
    refused("InvalidParameterValue", sqs.tag_queue, QueueUrl=url, Tags={"aws:x": "1"})
    refused("InvalidParameterValue", sqs.tag_queue, QueueUrl=url, Tags={f"k{n}": "" for n in range(51)})
    refused("MissingParameter", sqs.tag_queue, QueueUrl=url, Tags={})
    other = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}", tags={"made": "so"})["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=other)["Tags"] == {"made": "so"}
    sqs.delete_queue(QueueUrl=other)
    allow = {"QueueUrl": url, "AWSAccountIds": ["111122223333"], "Actions": ["SendMessage", "ReceiveMessage"]}
    sqs.add_permission(Label="team", **allow)
    policy = json.loads(attributes(sqs, url)["Policy"])
    [statement] = policy["Statement"]
    assert statement["Sid"] == "team" and statement["Action"] == ["SQS:SendMessage", "SQS:ReceiveMessage"]
    assert statement["Resource"] == arn(url) and statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    refused("InvalidParameterValue", sqs.add_permission, Label="team", **allow)
    refused("InvalidParameterValue", sqs.add_permission, Label="a b", **allow)
    refused("InvalidParameterValue", sqs.add_permission, Label="x", **{**allow, "AWSAccountIds": ["me"]})
    refused("InvalidParameterValue", sqs.add_permission, Label="x", **{**allow, "Actions": ["Fly"]})
    refused("OverLimit", sqs.add_permission, Label="x", **{**allow, "Actions": ["SendMessage"] * 8})
    refused("InvalidParameterValue", sqs.remove_permission, QueueUrl=url, Label="nobody")
    sqs.remove_permission(QueueUrl=url, Label="team")
    assert "Policy" not in attributes(sqs, url)


def test_purging(sqs, queue):
    url = queue()
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(10)])
    sqs.purge_queue(QueueUrl=url)
    assert attributes(sqs, url)["ApproximateNumberOfMessages"] == "0"
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress):
        sqs.purge_queue(QueueUrl=url)


def test_the_cli(platform, queue):
    url = queue()
    # Version 1 of the CLI looks for SQS in us-east-1 at a name of its own, unless it is told otherwise on the command line.
    endpoint = ("--endpoint-url", platform.environment["AWS_ENDPOINT_URL"])
    aws = lambda *arguments: platform.aws("sqs", *arguments, *endpoint).stdout
    sent = json.loads(aws("send-message", "--queue-url", url, "--message-body", "from the shell", "--message-attributes",
                          json.dumps({"n": {"DataType": "Number", "StringValue": "1"}})))
    [message] = json.loads(aws("receive-message", "--queue-url", url, "--message-attribute-names", "All",
                               "--message-system-attribute-names", "All"))["Messages"]
    assert message["MessageId"] == sent["MessageId"] and message["MessageAttributes"]["n"]["StringValue"] == "1"
    assert aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"]) == ""
    shown = json.loads(aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "All"))["Attributes"]
    assert shown["ApproximateNumberOfMessages"] == "0"
    error = platform.aws("sqs", "get-queue-url", "--queue-name", "nobody", *endpoint, check=False).stderr
    assert "(AWS.SimpleQueueService.NonExistentQueue)" in error


def query(platform, path="/", **parameters):
    """A request as SDKs before 2023 sent it; gives status and text."""
    import urllib3

    environment = platform.environment
    request = AWSRequest("POST", environment["AWS_ENDPOINT_URL"] + path, data=urllib.parse.urlencode(
        {"Version": "2012-11-05", **parameters}), headers={"Content-Type": "application/x-www-form-urlencoded"})
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "sqs", environment["AWS_REGION"]).add_auth(request)
    answer = urllib3.request("POST", request.url, body=request.data, headers=dict(request.headers))
    return answer.status, answer.data.decode()


def test_the_query_format(platform, sqs, queue):
    name = f"q-{uuid.uuid4().hex[:10]}"
    status, text = query(platform, Action="CreateQueue", QueueName=name, **{
        "Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "0", "Tag.1.Key": "k", "Tag.1.Value": "v"})
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    assert status == 200 and f"<CreateQueueResult><QueueUrl>{url}</QueueUrl></CreateQueueResult>" in text
    assert 'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"' in text and "<RequestId>" in text
    assert "<Tag><Key>k</Key><Value>v</Value></Tag>" in query(platform, Action="ListQueueTags", QueueUrl=url)[1]
    path = f"/{ACCOUNT}/{name}"
    status, text = query(platform, path, Action="SendMessage", MessageBody="a<b", **{
        "MessageAttribute.1.Name": "n", "MessageAttribute.1.Value.DataType": "String", "MessageAttribute.1.Value.StringValue": "v"})
    assert status == 200 and f"<MD5OfMessageBody>{hashlib.md5(b'a<b').hexdigest()}</MD5OfMessageBody>" in text
    text = query(platform, path, Action="ReceiveMessage", **{"AttributeName.1": "All", "MessageAttributeName.1": "n"})[1]
    assert "<Message>" in text and "<Body>a&lt;b</Body>" in text and "<Attribute><Name>SenderId</Name>" in text
    assert "<MessageAttribute><Name>n</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></MessageAttribute>" in text
    handle = text.split("<ReceiptHandle>")[1].split("<")[0]
    text = query(platform, Action="DeleteMessageBatch", QueueUrl=url, **{
        "DeleteMessageBatchRequestEntry.1.Id": "a", "DeleteMessageBatchRequestEntry.1.ReceiptHandle": handle,
        "DeleteMessageBatchRequestEntry.2.Id": "b", "DeleteMessageBatchRequestEntry.2.ReceiptHandle": "x"})[1]
    assert "<DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry>" in text
    assert "<BatchResultErrorEntry><Code>ReceiptHandleIsInvalid</Code><Id>b</Id>" in text
    text = query(platform, Action="GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "QueueArn"})[1]
    assert f"<Attribute><Name>QueueArn</Name><Value>{arn(url)}</Value></Attribute>" in text
    status, text = query(platform, Action="DeleteQueue", QueueUrl=url)
    assert status == 200 and "<DeleteQueueResponse" in text and "DeleteQueueResult" not in text
    status, text = query(platform, Action="DeleteQueue", QueueUrl=url)
    assert status == 400 and "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in text and "<Type>Sender</Type>" in text
    assert "<Code>InvalidAction</Code>" in query(platform, Action="Fly")[1]


# Why no case above raises an error that the model has.
REASONS = {
    "QueueDeletedRecently": "a deleted queue is gone at once, and its name is free",
    "RequestThrottled": "only a full queue gives it: a unit test of the limits stands for it",
    "InvalidSecurity": "calls come in the clear on loopback, and those that are not signed are refused before",
    "InvalidIdFormat": "the service has not given it since 2012; a wrong handle is ReceiptHandleIsInvalid",
}
RAISED = {
    "OverLimit", "InvalidAddress", "QueueDoesNotExist", "UnsupportedOperation", "ResourceNotFoundException",
    "MessageNotInflight", "ReceiptHandleIsInvalid", "TooManyEntriesInBatchRequest", "EmptyBatchRequest",
    "BatchEntryIdsNotDistinct", "InvalidBatchEntryId", "BatchRequestTooLong", "QueueNameExists", "InvalidAttributeName",
    "InvalidAttributeValue", "PurgeQueueInProgress", "InvalidMessageContents",
}


def test_every_error_of_the_model_is_raised_or_has_a_reason(sqs):
    model = sqs.meta.service_model
    modelled = {error.name for name in model.operation_names for error in model.operation_model(name).error_shapes}
    kms = {name for name in modelled if name.startswith("Kms")}  # Keys of KMS are refused as a whole.
    assert modelled - kms == RAISED | set(REASONS)


def test_a_kill_loses_no_message_that_was_accepted(make_platform):
    platform = make_platform()
    sqs = platform.boto3("sqs")
    url = sqs.create_queue(QueueName="killed", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    ordered = sqs.create_queue(QueueName="killed.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    first = sqs.send_message(QueueUrl=ordered, MessageBody="a", MessageGroupId="g", MessageDeduplicationId="one")
    accepted = set()

    def send(client):
        for n in range(10_000):
            body = f"{client}-{n}"
            try:
                sqs.send_message(QueueUrl=url, MessageBody=body)
            except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError):
                return
            accepted.add(body)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send, client) for client in range(8)]
        wait_for("messages are accepted", lambda: len(accepted) > 200)
        os.kill(platform.pid, signal.SIGKILL)
        concurrent.futures.wait(sending)
    wait_for("the lock to go", lambda: "not running" in platform.run("status", check=False).stdout)
    platform.up()
    sqs = platform.boto3("sqs")
    url, ordered = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("killed", "killed.fifo"))
    again = sqs.send_message(QueueUrl=ordered, MessageBody="a", MessageGroupId="g", MessageDeduplicationId="one")
    assert again["MessageId"] == first["MessageId"], "what was sent is remembered"
    found = set()
    while messages := receive(sqs, url, VisibilityTimeout=600).get("Messages"):
        found.update(message["Body"] for message in messages)
        sqs.delete_message_batch(QueueUrl=url, Entries=[
            {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)])
    assert accepted <= found and len(found) <= len(accepted) + 8
