"""Amazon SNS with boto3 and the aws CLI: every operation, who gets what, and what survives a kill."""

import concurrent.futures
import http.server
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

import botocore.exceptions
import pytest
from conftest import lasting_ports, wait_for
from test_s3 import bucket, s3  # noqa: F401
from test_s3_events import awslambda, function, function_arn, queue_arn, sdk, told  # noqa: F401

ACCOUNT = "000000000000"
ARN = f"arn:aws:sns:us-east-1:{ACCOUNT}:"


@pytest.fixture(scope="module")
def sns(platform):
    return platform.boto3("sns")


@pytest.fixture(scope="module")
def sqs(platform):
    return platform.boto3("sqs")


@pytest.fixture
def topic(sns):
    """Makes topics with names of their own; gives their ARNs and deletes them in the end."""
    made = []

    def make(**more):
        made.append(sns.create_topic(Name=f"t-{uuid.uuid4().hex[:10]}", **more)["TopicArn"])
        return made[-1]

    yield make
    for arn in made:
        sns.delete_topic(TopicArn=arn)


@pytest.fixture
def queue(sqs):
    made = []

    def make(**more):
        made.append(sqs.create_queue(QueueName=f"sns-{uuid.uuid4().hex[:10]}", **more)["QueueUrl"])
        return made[-1]

    yield make
    for url in made:
        sqs.delete_queue(QueueUrl=url)


LOOPS = """
import boto3, json, os
def handler(event, context):
    print("GOT " + json.dumps(event), flush=True)
    sns = boto3.client("sns")
    try:
        sns.subscribe(TopicArn=os.environ["TOPIC"], Protocol="http", Endpoint="http://127.0.0.1:1/")
    except Exception as error:
        print("REFUSED", error, flush=True)
    sns.publish(TopicArn=os.environ["TOPIC"], Message="again")
"""

# Errors of the model that some operation here gives; below, why the others cannot be.
RAISED = {
    "AuthorizationError", "BatchEntryIdsNotDistinct", "BatchRequestTooLong", "EmptyBatchRequest", "InvalidBatchEntryId", "InvalidParameter",
    "NotFound", "ParameterValueInvalid", "ResourceNotFound", "TagLimitExceeded", "TooManyEntriesInBatchRequest",
}
REASONS = {
    "ConcurrentAccess": "tags are written one after the other",
    "EndpointDisabled": "there are no mobile endpoints",
    "FilterPolicyLimitExceeded": "there is no limit of filters but that of subscriptions",
    "InternalError": "the disk is full; cannot be made here",
    "InvalidSecurity": "refused signatures are the door's",
    "InvalidState": "a topic has no states",
    "OptedOut": "there are no text messages",
    "PlatformApplicationDisabled": "there are no mobile applications",
    "ReplayLimitExceeded": "there are no FIFO topics",
    "StaleTag": "tags are written one after the other",
    "SubscriptionLimitExceeded": "after 20,000",
    "TagPolicy": "there are no tag policies",
    "Throttled": "after 25,000 messages that wait",
    "TopicLimitExceeded": "after 10,000",
    "UserError": "there are no text messages",
    "ValidationException": "there is no data protection, and there are no text messages",
    "VerificationException": "there are no text messages",
}


class Receiver:
    """An address that subscribers may have: keeps what is posted to it, and answers as it is told."""

    def __init__(self, port=0, tls=None):
        self.posts, self.status = [], 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.posts.append((self.path, self.headers, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}/in?a=b"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, kind):
        return [(headers, body) for _, headers, body in self.posts if headers["x-amz-sns-message-type"] == kind]

    def confirmation(self):
        wait_for("the receiver is asked for a confirmation", lambda: self.of("SubscriptionConfirmation"), 30)
        return json.loads(self.of("SubscriptionConfirmation")[-1][1])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def refused(code, call, status=None, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    if status:
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    return error.value.response["Error"]["Message"]


def subscribe(sns, topic, url, **attributes):
    return sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn(url), Attributes=attributes)["SubscriptionArn"]


def take(sqs, url, count=1, wait=10):
    """The messages of a queue, as soon as there are so many; also what is there beyond."""
    got, until = [], time.monotonic() + wait
    while len(got) < count and time.monotonic() < until:
        got += sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get("Messages", [])
    got += sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
    for one in got:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return got


def text(value, kind="String"):
    return {"DataType": kind, "StringValue": value}


def test_topics_come_change_and_go(sns, topic):
    arn = topic(Attributes={"DisplayName": "Orders"}, Tags=[{"Key": "team", "Value": "a"}])
    name = arn.removeprefix(ARN)
    assert sns.create_topic(Name=name)["TopicArn"] == arn
    assert sns.create_topic(Name=name, Attributes={"DisplayName": "Orders"}, Tags=[{"Key": "team", "Value": "a"}])["TopicArn"] == arn
    assert "different attributes" in refused("InvalidParameter", sns.create_topic, Name=name, Attributes={"DisplayName": "x"})
    assert "different tags" in refused("InvalidParameter", sns.create_topic, Name=name, Tags=[{"Key": "team", "Value": "b"}])
    shown = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert shown["TopicArn"] == arn and shown["Owner"] == ACCOUNT and shown["DisplayName"] == "Orders"
    assert shown["SubscriptionsConfirmed"] == "0" and json.loads(shown["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    assert json.loads(shown["Policy"])["Statement"][0]["Resource"] == arn
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="New & <new>")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": arn}]}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))
    shown = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert shown["DisplayName"] == "New & <new>" and json.loads(shown["Policy"]) == policy
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}, {"Key": "team", "Value": "c"}])
    sns.untag_resource(ResourceArn=arn, TagKeys=["stage", "other"])
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "c"}]
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.get_topic_attributes(TopicArn=arn)
    with pytest.raises(sns.exceptions.ResourceNotFoundException):
        sns.list_tags_for_resource(ResourceArn=arn)


def test_lists_have_pages(sns, topic, queue, sqs):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        arns = list(pool.map(lambda _: topic(), range(105)))
    first = sns.list_topics()
    assert len(first["Topics"]) == 100 and first["NextToken"]
    listed = [one["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for one in page["Topics"]]
    assert set(arns) <= set(listed) and len(listed) == len(set(listed))
    made = {sns.subscribe(TopicArn=arns[0], Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:later-{n}")["SubscriptionArn"] for n in range(103)}
    pages = [page["Subscriptions"] for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arns[0])]
    assert [len(page) for page in pages] == [100, 3] and {one["SubscriptionArn"] for page in pages for one in page} == made
    everywhere = {one["SubscriptionArn"] for page in sns.get_paginator("list_subscriptions").paginate() for one in page["Subscriptions"]}
    assert made <= everywhere
    assert sns.get_topic_attributes(TopicArn=arns[0])["Attributes"]["SubscriptionsConfirmed"] == "103"
    refused("InvalidParameter", sns.list_topics, NextToken="?")


def test_queues_get_an_envelope_or_the_bare_message(platform, sns, sqs, topic, queue):
    arn, enveloped, raw = topic(), queue(), queue()
    one = subscribe(sns, arn, enveloped)
    subscribe(sns, arn, raw, RawMessageDelivery="true")
    assert subscribe(sns, arn, enveloped) == one, "the same"
    refused("InvalidParameter", subscribe, sns=sns, topic=arn, url=enveloped, RawMessageDelivery="true")
    attributes = {"kind": text("a<b"), "n": text("5", "Number"), "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    sent = sns.publish(TopicArn=arn, Message="hello & <wörld>", Subject="Hi", MessageAttributes=attributes)["MessageId"]
    [got] = take(sqs, enveloped)
    body = json.loads(got["Body"])
    assert body["Type"] == "Notification" and body["MessageId"] == sent and body["TopicArn"] == arn
    assert body["Message"] == "hello & <wörld>" and body["Subject"] == "Hi" and body["Timestamp"].endswith("Z")
    assert body["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "a<b"}, "n": {"Type": "Number", "Value": "5"}, "b": {"Type": "Binary", "Value": "AP8="}}
    assert "Signature" not in body and "MessageAttributes" not in got
    [got] = take(sqs, raw)
    assert got["Body"] == "hello & <wörld>" and got["MessageAttributes"]["kind"]["StringValue"] == "a<b" and got["MessageAttributes"]["b"]["BinaryValue"] == b"\x00\xff"
    # The aws CLI, for the other queue alone; then by the address that the envelope names.
    platform.aws("sns", "unsubscribe", "--subscription-arn", [one for one in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] if one["Endpoint"] == queue_arn(raw)][0]["SubscriptionArn"])
    sent = json.loads(platform.aws("sns", "publish", "--topic-arn", arn, "--message", "from the CLI").stdout)["MessageId"]
    [got] = [json.loads(one["Body"]) for one in take(sqs, enveloped)]
    assert (got["MessageId"], got["Message"]) == (sent, "from the CLI")
    assert not take(sqs, raw, wait=0)
    with urllib.request.urlopen(body["UnsubscribeURL"]) as ended:
        assert ended.status == 200
    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsDeleted"] == "2"


def test_filters(sns, sqs, topic, queue):
    arn = topic()
    by_attribute, by_body, everything = queue(), queue(), queue()
    policy = {"kind": ["order", {"prefix": "ship"}], "price": [{"numeric": [">", 10, "<=", 100]}], "test": [{"exists": False}]}
    one = subscribe(sns, arn, by_attribute, FilterPolicy=json.dumps(policy), RawMessageDelivery="true")
    subscribe(sns, arn, by_body, FilterPolicy=json.dumps({"a": {"b": [{"anything-but": ["x"]}]}}), FilterPolicyScope="MessageBody", RawMessageDelivery="true")
    subscribe(sns, arn, everything, RawMessageDelivery="true")

    def publish(message, **attributes):
        sns.publish(TopicArn=arn, Message=message, MessageAttributes=attributes)

    publish("1", kind=text("order"), price=text("100", "Number"))
    publish("2", kind=text("shipped"), price=text("10.5", "Number"))
    publish("3", kind=text("order"), price=text("10", "Number"))
    publish("4", kind=text("order"), price=text("50", "Number"), test=text("x"))
    publish("5", price=text("50", "Number"))
    publish('{"a": {"b": "y"}}')
    publish('{"a": {"b": "x"}}', kind=text("[\"no\", \"order\"]", "String.Array"), price=text("11", "Number"))
    assert len(take(sqs, everything, 7)) == 7
    assert sorted(one["Body"] for one in take(sqs, by_attribute, 3)) == ["1", "2", '{"a": {"b": "x"}}']
    assert [one["Body"] for one in take(sqs, by_body)] == ['{"a": {"b": "y"}}']
    shown = sns.get_subscription_attributes(SubscriptionArn=one)["Attributes"]
    assert json.loads(shown["FilterPolicy"]) == policy and shown["FilterPolicyScope"] == "MessageAttributes"
    sns.set_subscription_attributes(SubscriptionArn=one, AttributeName="FilterPolicy", AttributeValue="{}")
    assert "FilterPolicy" not in sns.get_subscription_attributes(SubscriptionArn=one)["Attributes"]
    publish("6")
    assert [one["Body"] for one in take(sqs, by_attribute)] == ["6"]
    for bad in ('{"a": "x"}', "{", '{"a": [{"wildcard": "*"}]}', '{"a": {"b": [1]}}', '{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}'):
        assert "FilterPolicy" in refused("InvalidParameter", sns.set_subscription_attributes, SubscriptionArn=one, AttributeName="FilterPolicy", AttributeValue=bad)
    refused("InvalidParameter", sns.set_subscription_attributes, SubscriptionArn=one, AttributeName="FilterPolicyScope", AttributeValue="x")


def test_batches_and_structures(sns, sqs, topic, queue):
    arn, url = topic(), queue()
    subscribe(sns, arn, url, RawMessageDelivery="true")
    entries = [{"Id": str(n), "Message": f"m{n}", "MessageAttributes": {"n": text(str(n), "Number")}} for n in range(9)]
    answer = sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=[*entries, {"Id": "bad", "Message": "x", "Subject": "two\nlines"}])
    assert [one["Id"] for one in answer["Successful"]] == [str(n) for n in range(9)]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]] == [("bad", "InvalidParameter", True)]
    assert sorted(one["Body"] for one in take(sqs, url, 9)) == [f"m{n}" for n in range(9)]
    sns.publish(TopicArn=arn, MessageStructure="json", Message=json.dumps({"default": "d", "sqs": "for queues"}))
    assert [one["Body"] for one in take(sqs, url)] == ["for queues"]

    def batch(code, entries):
        refused(code, sns.publish_batch, TopicArn=arn, PublishBatchRequestEntries=entries)

    batch("EmptyBatchRequest", [])
    batch("TooManyEntriesInBatchRequest", [*entries, *entries])
    batch("BatchEntryIdsNotDistinct", [entries[0], entries[0]])
    batch("InvalidBatchEntryId", [{"Id": "a b", "Message": "x"}])
    batch("BatchRequestTooLong", [{"Id": str(n), "Message": "x" * 140_000} for n in range(2)])
    assert not take(sqs, url, wait=0)


def test_what_is_refused(sns, sqs, topic, queue):
    arn = topic()
    fifo = sqs.create_queue(QueueName=f"sns-{uuid.uuid4().hex[:8]}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]

    def publish(code, **more):
        return refused(code, sns.publish, **{"TopicArn": arn, "Message": "x", **more})

    def wants(code, protocol, endpoint, **attributes):
        return refused(code, sns.subscribe, TopicArn=arn, Protocol=protocol, Endpoint=endpoint, Attributes=attributes)

    publish("NotFound", TopicArn=ARN + "none")
    publish("InvalidParameter", TopicArn="nonsense")
    publish("InvalidParameter", Message="")
    publish("InvalidParameter", Subject="x" * 101)
    publish("InvalidParameter", MessageStructure="json")
    publish("InvalidParameter", MessageDeduplicationId="x")
    assert "too long" in publish("InvalidParameter", Message="x" * 262_145)
    sns.publish(TopicArn=arn, Message="x" * 262_144)
    publish("ParameterValueInvalid", MessageAttributes={"a": text("x", "Number")})
    assert "not supported" in refused("InvalidParameter", sns.publish, PhoneNumber="+15550100", Message="x")
    for protocol, endpoint in (("email", "a@b.c"), ("sms", "+15550100"), ("firehose", "arn:aws:firehose:x"), ("application", "arn:aws:sns:x")):
        assert "not supported by dory" in wants("InvalidParameter", protocol, endpoint)
    wants("InvalidParameter", "https", "http://127.0.0.1/")
    wants("InvalidParameter", "sqs", "arn:aws:sqs:eu-west-1:1:q")
    wants("InvalidParameter", "sqs", queue_arn(fifo))
    wants("InvalidParameter", "lambda", "hello")
    wants("InvalidParameter", "lambda", function_arn("x"), RawMessageDelivery="true")
    url = queue()
    for name, value in (("RedrivePolicy", "{}"), ("RedrivePolicy", json.dumps({"deadLetterTargetArn": queue_arn("x/none")})), ("DeliveryPolicy", '{"healthyRetryPolicy": {}}'), ("RawMessageDelivery", "x"), ("SubscriptionRoleArn", "x")):
        wants("InvalidParameter", "sqs", queue_arn(url), **{name: value})
    refused("NotFound", sns.get_subscription_attributes, SubscriptionArn=f"{arn}:{uuid.uuid4()}")
    refused("NotFound", sns.subscribe, TopicArn=ARN + "none", Protocol="sqs", Endpoint=queue_arn(url))
    assert "FIFO topics are not supported" in refused("InvalidParameter", sns.create_topic, Name="x.fifo", Attributes={"FifoTopic": "true"})
    refused("InvalidParameter", sns.create_topic, Name="a b")
    for name, value in (("KmsMasterKeyId", "alias/aws/sns"), ("DeliveryPolicy", '{"http": {}}'), ("Policy", "{"), ("DisplayName", "x" * 101), ("TracingConfig", "Active")):
        refused("InvalidParameter", sns.set_topic_attributes, TopicArn=arn, AttributeName=name, AttributeValue=value)
    refused("TagLimitExceeded", sns.tag_resource, ResourceArn=arn, Tags=[{"Key": str(n), "Value": ""} for n in range(51)])
    assert "not valid for this endpoint" in refused("InvalidAction", sns.list_platform_applications)
    sqs.delete_queue(QueueUrl=fifo)


def test_every_error_of_the_model_is_known(sns):
    model = sns.meta.service_model
    codes = {shape.error_code for name in model.operation_names for shape in model.operation_model(name).error_shapes}
    assert {code for code in codes if not code.startswith("KMS")} == RAISED | set(REASONS)


def test_addresses_confirm_and_are_told(sns, topic, receiver):
    arn = topic()
    answer = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url)["SubscriptionArn"]
    assert answer == "pending confirmation"
    asked = receiver.confirmation()
    assert asked["Type"] == "SubscriptionConfirmation" and asked["TopicArn"] == arn and asked["Token"]
    [listed] = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation" and listed["Endpoint"] == receiver.url
    sns.publish(TopicArn=arn, Message="to nobody yet")
    refused("InvalidParameter", sns.confirm_subscription, TopicArn=arn, Token="wrong")
    with urllib.request.urlopen(asked["SubscribeURL"]) as confirmed:
        assert b"<SubscriptionArn>" + arn.encode() in confirmed.read()
    one = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"][0]["SubscriptionArn"]
    shown = sns.get_subscription_attributes(SubscriptionArn=one)["Attributes"]
    assert shown["PendingConfirmation"] == "false" and shown["ConfirmationWasAuthenticated"] == "false"
    sent = sns.publish(TopicArn=arn, Message="hello", Subject="s")["MessageId"]
    wait_for("the receiver is told", lambda: receiver.of("Notification"), 30)
    [(headers, body)] = receiver.of("Notification")
    assert json.loads(body)["Message"] == "hello" and headers["x-amz-sns-message-id"] == sent and receiver.posts[-1][0] == "/in?a=b"
    assert headers["x-amz-sns-topic-arn"] == arn and headers["x-amz-sns-subscription-arn"] == one and headers["Content-Type"] == "text/plain; charset=UTF-8"
    sns.set_subscription_attributes(SubscriptionArn=one, AttributeName="RawMessageDelivery", AttributeValue="true")
    sns.publish(TopicArn=arn, Message="bare")
    wait_for("the receiver is told again", lambda: len(receiver.of("Notification")) == 2, 30)
    assert receiver.of("Notification")[1][1] == "bare" and receiver.of("Notification")[1][0]["x-amz-sns-rawdelivery"] == "true"
    sns.unsubscribe(SubscriptionArn=one)
    sns.unsubscribe(SubscriptionArn=one)


def test_only_who_signs_ends_what_was_confirmed_so(sns, topic, receiver):
    arn = topic()
    one = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url, ReturnSubscriptionArn=True)["SubscriptionArn"]
    assert sns.get_subscription_attributes(SubscriptionArn=one)["Attributes"]["PendingConfirmation"] == "true"
    token = receiver.confirmation()["Token"]
    assert sns.confirm_subscription(TopicArn=arn, Token=token, AuthenticateOnUnsubscribe="true")["SubscriptionArn"] == one
    sns.publish(TopicArn=arn, Message="x")
    wait_for("the receiver is told", lambda: receiver.of("Notification"), 30)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(json.loads(receiver.of("Notification")[0][1])["UnsubscribeURL"])
    assert error.value.code == 403 and b"AuthorizationError" in error.value.read()
    sns.unsubscribe(SubscriptionArn=one)
    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []


def test_dead_letters(sns, sqs, topic, queue, receiver):
    arn, dead = topic(), queue()
    redrive = json.dumps({"deadLetterTargetArn": queue_arn(dead)})
    lost = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn("x/never-made"), Attributes={"RedrivePolicy": redrive})["SubscriptionArn"]
    assert json.loads(sns.get_subscription_attributes(SubscriptionArn=lost)["Attributes"]["RedrivePolicy"]) == json.loads(redrive)
    sns.publish(TopicArn=arn, Message="lost")
    assert [json.loads(one["Body"])["Message"] for one in take(sqs, dead)] == ["lost"]
    sns.unsubscribe(SubscriptionArn=lost)
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url, Attributes={"RedrivePolicy": redrive})
    sns.confirm_subscription(TopicArn=arn, Token=receiver.confirmation()["Token"])
    receiver.status = 404
    sns.publish(TopicArn=arn, Message="not here")
    assert [json.loads(one["Body"])["Message"] for one in take(sqs, dead)] == ["not here"]
    assert len(receiver.of("Notification")) == 1, "what the receiver calls wrong is not tried again"


def test_addresses_are_tried_again(sns, topic, receiver):
    arn = topic()
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url)
    sns.confirm_subscription(TopicArn=arn, Token=receiver.confirmation()["Token"])
    receiver.status = 503
    sent = sns.publish(TopicArn=arn, Message="x")["MessageId"]
    wait_for("the receiver is told", lambda: receiver.of("Notification"), 30)
    receiver.status = 200
    wait_for("the receiver is told again", lambda: len(receiver.of("Notification")) > 1, 60)
    assert {headers["x-amz-sns-message-id"] for headers, _ in receiver.of("Notification")} == {sent}


def test_https_addresses_must_be_trusted(make_platform, monkeypatch, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=x",
         "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    for trusted in (certificate, None):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted)) if trusted else monkeypatch.delenv("SSL_CERT_FILE")
        receiver, sns = Receiver(tls=tls), make_platform().boto3("sns")
        arn = sns.create_topic(Name="t")["TopicArn"]
        sns.subscribe(TopicArn=arn, Protocol="https", Endpoint=receiver.url)
        if trusted:
            assert receiver.confirmation()["TopicArn"] == arn
        else:
            time.sleep(3)
            assert not receiver.posts
        receiver.close()


def test_functions_are_told(platform, sns, sqs, topic, queue, awslambda, function):  # noqa: F811
    arn, dead, name = topic(), queue(), function()
    one = sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function_arn(name), Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": queue_arn(dead)})})["SubscriptionArn"]
    sns.publish(TopicArn=arn, Message="may not")
    assert len(take(sqs, dead)) == 1
    awslambda.add_permission(FunctionName=name, StatementId="sns", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=arn)
    sent = sns.publish(TopicArn=arn, Message="hello", Subject="s", MessageAttributes={"a": text("b")})["MessageId"]
    wait_for("the function was told", lambda: told(platform, name), 60)
    [record] = told(platform, name)
    assert record["EventSource"] == "aws:sns" and record["EventVersion"] == "1.0" and record["EventSubscriptionArn"] == one
    inner = record["Sns"]
    assert (inner["Message"], inner["Subject"], inner["MessageId"], inner["TopicArn"]) == ("hello", "s", sent, arn)
    assert inner["MessageAttributes"] == {"a": {"Type": "String", "Value": "b"}} and inner["Type"] == "Notification"


def test_a_function_that_feeds_itself_is_stopped(platform, sns, topic, awslambda, function, s3, bucket):  # noqa: F811
    arn = topic()
    s3.put_object(Bucket=bucket, Key="sdk.zip", Body=sdk())
    layer = awslambda.publish_layer_version(LayerName=f"sdk-{bucket}", Content={"S3Bucket": bucket, "S3Key": "sdk.zip"})
    name = function(LOOPS, Layers=[layer["LayerVersionArn"]], MemorySize=512, Environment={"Variables": {"TOPIC": arn}})
    sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function_arn(name))
    awslambda.add_permission(FunctionName=name, StatementId="sns", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=arn)
    sns.publish(TopicArn=arn, Message="once")
    wait_for("the function runs sixteen times", lambda: len(told(platform, name)) >= 16, 90)
    time.sleep(3)
    assert len(told(platform, name)) <= 17
    assert "REFUSED An error occurred (AuthorizationError)" in platform.run("logs", name).stdout
    awslambda.delete_layer_version(LayerName=f"sdk-{bucket}", VersionNumber=layer["Version"])


def test_results_of_functions_go_to_topics(sns, sqs, topic, queue, awslambda, function):  # noqa: F811
    arn, url = topic(), queue()
    subscribe(sns, arn, url, RawMessageDelivery="true")
    fine, broken = function("def handler(event, context):\n    return 'fine'\n"), function("def handler(event, context):\n    raise ValueError('no')\n", DeadLetterConfig={"TargetArn": arn})
    awslambda.put_function_event_invoke_config(FunctionName=fine, DestinationConfig={"OnSuccess": {"Destination": arn}})
    awslambda.put_function_event_invoke_config(FunctionName=broken, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}})
    awslambda.invoke(FunctionName=fine, InvocationType="Event", Payload=b'{"n": 1}')
    [got] = take(sqs, url, wait=60)
    record = json.loads(got["Body"])
    assert record["requestContext"]["condition"] == "Success" and record["responsePayload"] == "fine" and record["requestPayload"] == {"n": 1}
    awslambda.invoke(FunctionName=broken, InvocationType="Event", Payload=b'{"n": 2}')
    got = take(sqs, url, 2, wait=60)
    letter = next(one for one in got if one["Body"] == '{"n": 2}')
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] and letter["MessageAttributes"]["ErrorCode"]["StringValue"] == "200"
    failure = json.loads(next(one for one in got if one is not letter)["Body"])
    assert failure["requestContext"]["condition"] == "RetriesExhausted"
    with pytest.raises(botocore.exceptions.ClientError, match="no such topic"):
        awslambda.put_function_event_invoke_config(FunctionName=fine, DestinationConfig={"OnSuccess": {"Destination": ARN + "none"}})


def test_buckets_tell_topics(sns, sqs, topic, queue, s3, bucket):  # noqa: F811
    arn, url = topic(), queue()
    subscribe(sns, arn, url)
    wanted = {"Id": "mine", "TopicArn": arn, "Events": ["s3:ObjectCreated:*"]}

    def notify():
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [wanted]})

    with pytest.raises(botocore.exceptions.ClientError, match="Unable to validate"):
        notify()
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "SNS:Publish", "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}}]}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))
    notify()
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"] == [wanted]
    s3.put_object(Bucket=bucket, Key="k", Body=b"12")
    bodies = [json.loads(one["Body"]) for one in take(sqs, url, 2, wait=30)]
    assert {one["Subject"] for one in bodies} == {"Amazon S3 Notification"}
    messages = [json.loads(one["Message"]) for one in bodies]
    assert [one for one in messages if one.get("Event") == "s3:TestEvent"]
    [record] = [one["Records"][0] for one in messages if "Records" in one]
    assert record["eventName"] == "ObjectCreated:Put" and record["s3"]["object"]["key"] == "k"


def test_the_cli_does_it_all(platform, sqs, queue):
    def aws(*arguments):
        answer = platform.aws("sns", *arguments).stdout
        return json.loads(answer) if answer.strip() else None

    arn = aws("create-topic", "--name", "from-the-cli", "--attributes", "DisplayName=cli", "--tags", "Key=a,Value=b")["TopicArn"]
    url = queue()
    one = aws("subscribe", "--topic-arn", arn, "--protocol", "sqs", "--notification-endpoint", queue_arn(url), "--attributes", '{"FilterPolicy": "{\\"a\\": [\\"x\\"]}", "RawMessageDelivery": "true"}')["SubscriptionArn"]
    aws("publish", "--topic-arn", arn, "--message", "in", "--message-attributes", '{"a": {"DataType": "String", "StringValue": "x"}}')
    aws("publish", "--topic-arn", arn, "--message", "out")
    aws("publish-batch", "--topic-arn", arn, "--publish-batch-request-entries", "Id=1,Message=out")
    assert [one["Body"] for one in take(sqs, url)] == ["in"]
    assert aws("list-tags-for-resource", "--resource-arn", arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert aws("get-subscription-attributes", "--subscription-arn", one)["Attributes"]["RawMessageDelivery"] == "true"
    assert arn in [topic["TopicArn"] for topic in aws("list-topics")["Topics"]]
    aws("unsubscribe", "--subscription-arn", one)
    aws("delete-topic", "--topic-arn", arn)
    assert arn not in [topic["TopicArn"] for topic in aws("list-topics")["Topics"]]


def test_a_kill_loses_nothing_that_was_accepted(make_platform):
    platform = make_platform()
    sns, sqs = platform.boto3("sns"), platform.boto3("sqs")
    [port] = lasting_ports(1)
    receiver = Receiver(port)
    arn = sns.create_topic(Name="killed")["TopicArn"]
    url = sqs.create_queue(QueueName="killed", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    subscribe(sns, arn, url, RawMessageDelivery="true")
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=receiver.url, Attributes={"RawMessageDelivery": "true"})
    sns.confirm_subscription(TopicArn=arn, Token=receiver.confirmation()["Token"])
    # Nobody is there; what is published waits.
    receiver.close()
    accepted = set()

    def send(client):
        for n in range(10_000):
            try:
                sns.publish(TopicArn=arn, Message=f"{client}-{n}")
            except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError):
                return
            accepted.add(f"{client}-{n}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send, client) for client in range(8)]
        wait_for("messages are accepted", lambda: len(accepted) > 100)
        os.kill(platform.pid, signal.SIGKILL)
        concurrent.futures.wait(sending)
    wait_for("the lock to go", lambda: "not running" in platform.run("status", check=False).stdout)
    receiver = Receiver(port)
    platform.up()
    sns, sqs = platform.boto3("sns"), platform.boto3("sqs")
    wait_for("the receiver has all", lambda: accepted <= {body for _, body in receiver.of("Notification")}, 90)
    queued = {one["Body"] for one in take(sqs, sqs.get_queue_url(QueueName="killed")["QueueUrl"], len(accepted), 60)}
    assert accepted <= queued
    assert len(sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]) == 2
    receiver.close()
