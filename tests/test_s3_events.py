"""Buckets with the rest of the platform: functions and queues that are told what happens, code that lies in buckets, and
functions that use S3 as whoever they are."""

import io
import json
import os
import pathlib
import signal
import urllib.parse
import uuid
import zipfile

import botocore
import pytest
from conftest import VENV, wait_for
from test_lambda import ROLE, python_runtime, zipped
from test_s3 import body, bucket, refused, s3  # noqa: F401

ACCOUNT = "000000000000"
PRINTS = """
import json
def handler(event, context):
    print("GOT " + json.dumps(event), flush=True)
"""
USES = """
import boto3, os
def handler(event, context):
    s3 = boto3.client("s3")
    s3.put_object(Bucket=event["bucket"], Key="from a function", Body=b"x" * event["size"])
    got = s3.get_object(Bucket=event["bucket"], Key="in")["Body"].read().decode()
    return {"got": got, "who": boto3.client("sts").get_caller_identity()["Arn"], "listed": s3.list_objects_v2(Bucket=event["bucket"])["KeyCount"]}
"""


@pytest.fixture(scope="module")
def awslambda(platform):
    return platform.boto3("lambda")


@pytest.fixture
def function(awslambda):
    """Makes functions; deletes them in the end."""
    made = []

    def make(code=PRINTS, **more):
        name = f"s3-{uuid.uuid4().hex[:8]}"
        settings = {"Code": {"ZipFile": zipped(index__py=code)}, **more}
        awslambda.create_function(FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler", Timeout=30, **settings)
        made.append(name)
        return name

    yield make
    for name in made:
        awslambda.delete_function(FunctionName=name)


@pytest.fixture
def queue(platform):
    sqs = platform.boto3("sqs")
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def queue_arn(url):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{url.rsplit('/', 1)[1]}"


def function_arn(name):
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def allow(awslambda, name, bucket):
    awslambda.add_permission(
        FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}", SourceAccount=ACCOUNT)


def notify(s3, bucket, *functions, queues=()):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": list(functions), "QueueConfigurations": list(queues)})


def told(platform, name):
    """The records that a function printed."""
    lines = platform.run("logs", name, check=False).stdout.splitlines()
    return [record for line in lines if "GOT " in line for record in json.loads(line.split("GOT ", 1)[1])["Records"]]


def messages(platform, url, count, seen):
    got = platform.boto3("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    seen += [json.loads(one["Body"]) for one in got.get("Messages", [])]
    return len(seen) >= count


def test_functions_are_told(platform, s3, bucket, awslambda, function):
    name = function()
    wanted = {"Id": "mine", "LambdaFunctionArn": function_arn(name), "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".txt"}]}}}
    with pytest.raises(botocore.exceptions.ClientError, match="Unable to validate the following destination"):
        notify(s3, bucket, wanted)
    allow(awslambda, name, "another-bucket")
    with pytest.raises(botocore.exceptions.ClientError, match="Unable to validate"):
        notify(s3, bucket, wanted)
    awslambda.remove_permission(FunctionName=name, StatementId="s3")
    allow(awslambda, name, bucket)
    notify(s3, bucket, wanted)
    shown = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"][0]
    assert shown["Id"] == "mine" and shown["Events"] == wanted["Events"] and len(shown["Filter"]["Key"]["FilterRules"]) == 2
    tag = s3.put_object(Bucket=bucket, Key="in/a b+ü.txt", Body=b"12345")["ETag"]
    for other in ("in/a.bin", "a.txt"):
        s3.put_object(Bucket=bucket, Key=other, Body=b"x")
    s3.copy_object(Bucket=bucket, Key="in/copy.txt", CopySource={"Bucket": bucket, "Key": "a.txt"})
    upload = {"Bucket": bucket, "Key": "in/parts.txt"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    s3.delete_object(Bucket=bucket, Key="in/copy.txt")
    wait_for("the function was told of four things", lambda: len(told(platform, name)) >= 4, 60)
    records = {(one["eventName"], urllib.parse.unquote_plus(one["s3"]["object"]["key"])): one for one in told(platform, name)}
    assert set(records) == {
        ("ObjectCreated:Put", "in/a b+ü.txt"), ("ObjectCreated:Copy", "in/copy.txt"),
        ("ObjectCreated:CompleteMultipartUpload", "in/parts.txt"), ("ObjectRemoved:Delete", "in/copy.txt"),
    }
    one = records["ObjectCreated:Put", "in/a b+ü.txt"]
    assert one["eventSource"] == "aws:s3" and one["awsRegion"] == "us-east-1" and one["s3"]["configurationId"] == "mine"
    assert one["s3"]["bucket"]["name"] == bucket and one["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert one["s3"]["object"]["size"] == 5 and one["s3"]["object"]["eTag"] == tag.strip('"') and one["s3"]["object"]["sequencer"]
    notify(s3, bucket)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_queues_are_told(platform, s3, bucket, queue):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    notify(s3, bucket, queues=[{"QueueArn": queue_arn(queue), "Events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"]}])
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    seen = []
    wait_for("the queue has four messages", lambda: messages(platform, queue, 4, seen), 60)
    test = next(one for one in seen if one.get("Event") == "s3:TestEvent")
    assert test["Bucket"] == bucket and test["Service"] == "Amazon S3"
    events = {one["Records"][0]["eventName"]: one["Records"][0] for one in seen if "Records" in one}
    assert set(events) == {"ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete"}
    assert events["ObjectCreated:Put"]["s3"]["object"]["versionId"] == version
    order = [events[name]["s3"]["object"]["sequencer"] for name in ("ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete")]
    assert order == sorted(order)


def test_notifications_that_cannot_be(platform, s3, bucket, queue):
    def wants(code, *queues, **more):
        refused(code, s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(queues), **more})

    one = {"QueueArn": queue_arn(queue), "Events": ["s3:ObjectCreated:*"]}
    wants("InvalidArgument", {**one, "QueueArn": queue_arn("x/none")})
    wants("InvalidArgument", {**one, "QueueArn": "nonsense"})
    wants("InvalidArgument", {**one, "Events": ["s3:Nonsense"]})
    wants("NotImplemented", {**one, "Events": ["s3:ObjectTagging:Put"]})
    wants("InvalidArgument", one, {**one, "Events": ["s3:ObjectCreated:Put"]})
    wants("InvalidArgument", {**one, "Filter": {"Key": {"FilterRules": [{"Name": "middle", "Value": "x"}]}}})
    wants("InvalidArgument", TopicConfigurations=[{"TopicArn": "arn:aws:sns:us-east-1:1:t", "Events": ["s3:ObjectCreated:*"]}])
    wants("NotImplemented", EventBridgeConfiguration={})
    assert s3.get_bucket_notification_configuration(Bucket=bucket).get("QueueConfigurations") is None


def test_what_happened_before_a_kill_is_told(make_platform):
    platform = make_platform()
    s3, sqs = platform.boto3("s3"), platform.boto3("sqs")
    s3.create_bucket(Bucket="told")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    notify(s3, "told", queues=[{"QueueArn": queue_arn(url), "Events": ["s3:ObjectCreated:*"]}])
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        s3.put_object(Bucket="told", Key=key, Body=b"x")
    os.kill(platform.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in platform.run("status", check=False).stdout)
    platform.up()
    seen = []

    def all_told():
        messages(platform, url, 1, seen)
        return {one["Records"][0]["s3"]["object"]["key"] for one in seen if "Records" in one} == set(keys)

    wait_for("everything was told", all_told, 60)


def test_code_that_lies_in_a_bucket(platform, s3, bucket, awslambda, function):
    def returns(text):
        return zipped(index__py=f"def handler(event, context):\n    return {text!r}\n")

    def answer(name):
        return json.load(awslambda.invoke(FunctionName=name)["Payload"])

    s3.put_object(Bucket=bucket, Key="code/one.zip", Body=returns("one"))
    name = function(Code={"S3Bucket": bucket, "S3Key": "code/one.zip"})
    assert answer(name) == "one"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    second = s3.put_object(Bucket=bucket, Key="code/one.zip", Body=returns("two"))["VersionId"]
    s3.put_object(Bucket=bucket, Key="code/one.zip", Body=returns("three"))
    awslambda.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="code/one.zip", S3ObjectVersion=second)
    assert answer(name) == "two"
    platform.aws("lambda", "update-function-code", "--function-name", name, "--s3-bucket", bucket, "--s3-key", "code/one.zip")
    assert answer(name) == "three"
    for code, where in (
        ("NoSuchBucket", {"S3Bucket": "none-such", "S3Key": "k"}), ("NoSuchKey", {"S3Bucket": bucket, "S3Key": "none"}),
        ("NoSuchVersion", {"S3Bucket": bucket, "S3Key": "code/one.zip", "S3ObjectVersion": "f" * 32}),
    ):
        error = refused("InvalidParameterValueException", awslambda.update_function_code, FunctionName=name, **where)
        assert error["Error"]["Message"].startswith(f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: ")
    s3.put_object(Bucket=bucket, Key="no.zip", Body=b"this is no archive")
    refused("InvalidParameterValueException", awslambda.update_function_code, FunctionName=name, S3Bucket=bucket, S3Key="no.zip")
    refused("InvalidParameterValueException", awslambda.update_function_code, FunctionName=name, S3Bucket=bucket)
    both = {"S3Bucket": bucket, "S3Key": "no.zip", "ZipFile": returns("four")}
    refused("InvalidParameterValueException", awslambda.update_function_code, FunctionName=name, **both)
    assert answer(name) == "three"


def sdk():
    """boto3 as a layer: the libraries of the tests' own environment, with the models of three services."""
    packages = next((VENV.parent / "lib").glob("python*")) / "site-packages"
    names = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        files = [packages / "six.py", *(path for name in names for path in (packages / name).rglob("*"))]
        for path in (path for path in files if path.is_file()):
            inside = path.relative_to(packages)
            service = inside.parts[2] if inside.parts[:2] == ("botocore", "data") and len(inside.parts) > 3 else None
            if "__pycache__" not in inside.parts and service in (None, "s3", "sts", "sns"):
                archive.write(path, pathlib.Path("python") / inside)
    return buffer.getvalue()


def test_a_function_uses_s3_as_its_role(platform, s3, bucket, awslambda, function):
    s3.put_object(Bucket=bucket, Key="sdk.zip", Body=sdk())
    s3.put_object(Bucket=bucket, Key="in", Body=b"hello")
    layer = awslambda.publish_layer_version(LayerName=f"sdk-{bucket}", Content={"S3Bucket": bucket, "S3Key": "sdk.zip"})
    name = function(USES, Layers=[layer["LayerVersionArn"]], MemorySize=512)
    size = 9 << 20
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps({"bucket": bucket, "size": size}))
    told = json.load(answer["Payload"])
    assert "FunctionError" not in answer, told
    role = ROLE.rsplit("/", 1)[1]
    assert told == {"got": "hello", "who": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}", "listed": 3}
    assert len(body(s3.get_object(Bucket=bucket, Key="from a function"))) == size
    awslambda.delete_layer_version(LayerName=f"sdk-{bucket}", VersionNumber=layer["Version"])
