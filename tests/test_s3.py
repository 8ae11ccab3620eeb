"""Amazon S3 with boto3, the aws CLI and bare requests: buckets, objects, versions, uploads in parts, and each error that can
happen."""

import base64
import datetime
import hashlib
import http.client
import os
import signal
import subprocess
import threading
import time
import urllib.parse
import uuid
import zlib

import botocore.exceptions
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from conftest import wait_for

MIB = 1 << 20


@pytest.fixture(scope="module")
def s3(platform):
    return platform.boto3("s3")


def empty(s3, name):
    """Deletes a bucket with all that is in it."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        both = page.get("Versions", []) + page.get("DeleteMarkers", [])
        if both:
            s3.delete_objects(Bucket=name, Delete={"Objects": [{k: one[k] for k in ("Key", "VersionId")} for one in both]})
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def bucket(s3):
    name = f"b-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    yield name
    try:
        empty(s3, name)
    except s3.exceptions.NoSuchBucket:
        pass


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response


def body(answer):
    return answer["Body"].read()


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def crc(data, polynomial, width):
    """Any reflected CRC, byte by byte."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    mask = (1 << width) - 1
    value = mask
    for byte in data:
        value = table[(value ^ byte) & 255] ^ (value >> 8)
    return base64.b64encode((value ^ mask).to_bytes(width // 8, "big")).decode()


def crc32c(data):
    return crc(data, 0x82F63B78, 32)


def crc64nvme(data):
    return crc(data, 0x9A6C9329AC4BC9B5, 64)


class Bare:
    """Requests as nobody's SDK makes them."""

    def __init__(self, platform):
        self.environment = platform.environment
        self.port = platform.endpoints["aws_port"]
        self.credentials = Credentials(self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"])

    def send(self, method, path, data=b"", headers=None, sign=True, change=None, actual=None):
        url = f"http://127.0.0.1:{self.port}{path}"
        request = AWSRequest(method=method, url=url, data=data, headers=headers or {})
        if sign:
            S3SigV4Auth(self.credentials, "s3", "us-east-1").add_auth(request)
        prepared = request.prepare()
        sent = {**dict(prepared.headers), **(change or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body=data if actual is None else actual, headers=sent)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.fixture(scope="module")
def bare(platform):
    return Bare(platform)


def test_buckets_come_are_found_and_go(s3, bucket):
    assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert s3.list_buckets(Prefix=bucket)["Buckets"][0]["BucketRegion"] == "us-east-1"
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    error = refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=bucket)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
    for name in ("Upper", "ab", "a..b", "1.2.3.4", "-ab"):
        refused("InvalidBucketName", s3.create_bucket, Bucket=name)
    for region, code in (("us-east-1", "InvalidLocationConstraint"), ("eu-west-1", "IllegalLocationConstraintException")):
        refused(code, s3.create_bucket, Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": region})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert refused("404", s3.head_bucket, Bucket=bucket)
    for call, more in ((s3.put_object, {"Key": "k"}), (s3.get_object, {"Key": "k"}), (s3.list_objects_v2, {}), (s3.delete_bucket, {})):
        refused("NoSuchBucket", call, Bucket=bucket, **more)


def test_objects_are_what_was_put(s3, bucket):
    data = os.urandom(3 * MIB + 17)
    put = s3.put_object(
        Bucket=bucket, Key="a b/ä+%.bin", Body=data, ContentType="text/x-it", CacheControl="no-store", ContentLanguage="de",
        ContentDisposition="inline", ContentEncoding="br", Metadata={"colour": "red"}, Tagging="a=1&b=2",
        Expires=datetime.datetime(2030, 1, 1),
    )
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"' and put["ChecksumCRC32"] == crc32(data)
    got = s3.get_object(Bucket=bucket, Key="a b/ä+%.bin", ChecksumMode="ENABLED")
    assert body(got) == data and got["ETag"] == put["ETag"] and got["ChecksumCRC32"] == crc32(data)
    assert got["ChecksumType"] == "FULL_OBJECT" and got["TagCount"] == 2 and got["Metadata"] == {"colour": "red"}
    assert (got["ContentType"], got["CacheControl"], got["ContentLanguage"]) == ("text/x-it", "no-store", "de")
    assert (got["ContentDisposition"], got["ContentEncoding"], got["Expires"].year) == ("inline", "br", 2030)
    assert abs(got["LastModified"].timestamp() - time.time()) < 120 and "VersionId" not in got
    head = s3.head_object(Bucket=bucket, Key="a b/ä+%.bin")
    assert head["ContentLength"] == len(data) and head["ContentType"] == "text/x-it"
    again = s3.get_object(Bucket=bucket, Key="a b/ä+%.bin", ResponseContentType="a/b", ResponseCacheControl="max-age=1")
    assert (again["ContentType"], again["CacheControl"]) == ("a/b", "max-age=1")
    s3.put_object(Bucket=bucket, Key="empty")
    got = s3.get_object(Bucket=bucket, Key="empty")
    assert body(got) == b"" and got["ContentType"] == "binary/octet-stream"
    refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="none")
    refused("404", s3.head_object, Bucket=bucket, Key="none")
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("KeyTooLongError", s3.put_object, Bucket=bucket, Key="k" * 1025)
    refused("MetadataTooLarge", s3.put_object, Bucket=bucket, Key="k", Metadata={"a": "x" * 2100})


def test_keys_may_be_anything(s3, bucket):
    keys = ["//", "a//b", "../up", "./here", "a/../b", "tr ailing ", "=?&#", "\u65e5\u672c", "\U0001f600", "~-._", "a:b", "%2F", "+", "x" * 1024]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    listed = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(keys, key=lambda key: key.encode())
    for key in keys:
        assert body(s3.get_object(Bucket=bucket, Key=key)) == key.encode(), key
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(answer["Deleted"]) == len(keys) and s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_ranges_and_conditions(s3, bucket):
    data = bytes(range(256)) * 4096
    tag = s3.put_object(Bucket=bucket, Key="k", Body=data)["ETag"]
    for text, start, end in (("bytes=0-0", 0, 1), ("bytes=700000-", 700000, len(data)), ("bytes=-5", len(data) - 5, len(data)), ("bytes=5-99999999", 5, len(data))):
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206 and got["ContentRange"] == f"bytes {start}-{end - 1}/{len(data)}"
        assert body(got) == data[start:end]
    error = refused("InvalidRange", s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={len(data)}-")
    assert error["Error"]["ActualObjectSize"] == str(len(data)) and error["ResponseMetadata"]["HTTPStatusCode"] == 416
    assert len(body(s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-2,4-5"))) == len(data)
    past, future = datetime.datetime(2020, 1, 1), datetime.datetime(2040, 1, 1)
    for right in ({"IfMatch": tag}, {"IfNoneMatch": '"x"'}, {"IfModifiedSince": past}, {"IfUnmodifiedSince": future}, {"IfMatch": tag, "IfUnmodifiedSince": past}):
        assert s3.head_object(Bucket=bucket, Key="k", **right)["ETag"] == tag
    for code, wrong in (("PreconditionFailed", {"IfMatch": '"x"'}), ("PreconditionFailed", {"IfUnmodifiedSince": past}), ("304", {"IfNoneMatch": tag}), ("304", {"IfModifiedSince": future})):
        error = refused(code, s3.get_object, Bucket=bucket, Key="k", **wrong)
        assert code != "304" or error["ResponseMetadata"]["HTTPHeaders"]["etag"] == tag
    refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*")
    refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="k", Body=b"x", IfMatch='"x"')
    refused("NoSuchKey", s3.put_object, Bucket=bucket, Key="new", Body=b"x", IfMatch='"x"')
    s3.put_object(Bucket=bucket, Key="new", Body=b"x", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="k", Body=b"y", IfMatch=tag)
    refused("PreconditionFailed", s3.delete_object, Bucket=bucket, Key="k", IfMatch=tag)
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"y"


def test_checksums_are_verified_kept_and_shown(s3, bucket):
    data = b"The quick brown fox"
    sums = {
        "CRC32": crc32(data), "CRC32C": crc32c(data), "CRC64NVME": crc64nvme(data),
        "SHA1": base64.b64encode(hashlib.sha1(data).digest()).decode(), "SHA256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
    }
    for name, value in sums.items():
        put = s3.put_object(Bucket=bucket, Key=name, Body=data, **{f"Checksum{name}": value})
        assert put[f"Checksum{name}"] == value
        assert s3.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")[f"Checksum{name}"] == value
        wrong = "A" * (len(value) - value.count("=")) + "=" * value.count("=")
        refused("BadDigest", s3.put_object, Bucket=bucket, Key="bad", Body=data, **{f"Checksum{name}": wrong})
        refused("InvalidRequest", s3.put_object, Bucket=bucket, Key="bad", Body=data, **{f"Checksum{name}": "x"})
        attributes = s3.get_object_attributes(Bucket=bucket, Key=name, ObjectAttributes=["Checksum", "ObjectSize", "ETag", "StorageClass"])
        assert attributes["Checksum"][f"Checksum{name}"] == value and attributes["ObjectSize"] == len(data)
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    s3.put_object(Bucket=bucket, Key="md5", Body=data, ContentMD5=md5)
    refused("BadDigest", s3.put_object, Bucket=bucket, Key="bad", Body=data + b"!", ContentMD5=md5)
    refused("InvalidDigest", s3.put_object, Bucket=bucket, Key="bad", Body=data, ContentMD5="x")
    refused("404", s3.head_object, Bucket=bucket, Key="bad")


def test_objects_without_a_checksum_get_one(platform, bucket):
    quiet = platform.boto3("s3", config=Config(request_checksum_calculation="when_required", retries={"max_attempts": 0}))
    quiet.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    head = quiet.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == "rosUhgp5mIg=" and head["ChecksumType"] == "FULL_OBJECT"


def test_lists_go_on_and_roll_up(s3, bucket):
    keys = [f"{a}/{b}/{c}" for a in "ab" for b in "xy" for c in "123"] + ["a", "top", "b/", "b0"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key)
    keys.sort()
    for name in ("list_objects", "list_objects_v2"):
        for size in (1, 2, 3, 1000):
            paginate = s3.get_paginator(name).paginate
            pages = list(paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
            assert [one["Key"] for page in pages for one in page.get("Contents", [])] == keys
            pages = list(paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}))
            assert [one["Key"] for page in pages for one in page.get("Contents", [])] == ["a", "b0", "top"]
            assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])] == ["a/", "b/"]
            pages = list(paginate(Bucket=bucket, Delimiter="/", Prefix="b/", PaginationConfig={"PageSize": size}))
            assert [one["Key"] for page in pages for one in page.get("Contents", [])] == ["b/"]
            assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])] == ["b/x/", "b/y/"]
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="b/y/2", FetchOwner=True)
    assert [one["Key"] for one in page["Contents"]] == ["b/y/3", "b0", "top"] and page["KeyCount"] == 3
    assert page["Contents"][0]["Owner"]["ID"] and page["Contents"][0]["StorageClass"] == "STANDARD"
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="&")
    refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="")
    refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, EncodingType="other")


def test_copies(s3, bucket):
    data = os.urandom(MIB)
    tag = s3.put_object(Bucket=bucket, Key="a", Body=data, Metadata={"m": "1"}, ContentType="a/b", Tagging="t=1")["ETag"]
    source = {"Bucket": bucket, "Key": "a"}
    copy = s3.copy_object(Bucket=bucket, Key="ü b", CopySource=source)
    assert copy["CopyObjectResult"]["ETag"] == tag and copy["CopyObjectResult"]["ChecksumCRC32"] == crc32(data)
    got = s3.get_object(Bucket=bucket, Key="ü b")
    assert body(got) == data and got["Metadata"] == {"m": "1"} and got["ContentType"] == "a/b" and got["TagCount"] == 1
    s3.delete_object(Bucket=bucket, Key="a")
    assert body(s3.get_object(Bucket=bucket, Key="ü b")) == data
    source["Key"] = "ü b"
    copy = s3.copy_object(Bucket=bucket, Key="c", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"}, TaggingDirective="REPLACE", ChecksumAlgorithm="SHA256")
    assert copy["CopyObjectResult"]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(data).digest()).decode()
    got = s3.get_object(Bucket=bucket, Key="c")
    assert got["Metadata"] == {"n": "2"} and "TagCount" not in got and body(got) == data
    refused("InvalidRequest", s3.copy_object, Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "c"})
    s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "c"}, MetadataDirective="REPLACE")
    refused("NoSuchKey", s3.copy_object, Bucket=bucket, Key="d", CopySource={"Bucket": bucket, "Key": "none"})
    refused("NoSuchBucket", s3.copy_object, Bucket=bucket, Key="d", CopySource="none-such-bucket/k")
    refused("InvalidArgument", s3.copy_object, Bucket=bucket, Key="d", CopySource="nothing")
    refused("PreconditionFailed", s3.copy_object, Bucket=bucket, Key="d", CopySource=source, CopySourceIfMatch='"x"')
    refused("PreconditionFailed", s3.copy_object, Bucket=bucket, Key="d", CopySource=source, CopySourceIfNoneMatch=tag)


def test_uploads_in_parts(s3, bucket):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="big", ContentType="x/y", Metadata={"m": "1"}, Tagging="a=b")
    name = {"Bucket": bucket, "Key": "big", "UploadId": begun["UploadId"]}
    parts = [os.urandom(5 * MIB), os.urandom(6 * MIB), b"end"]
    tags = [s3.upload_part(**name, PartNumber=number, Body=part)["ETag"] for number, part in zip((1, 5, 9), parts)]
    assert tags == [f'"{hashlib.md5(part).hexdigest()}"' for part in parts]
    listed = s3.list_parts(**name, MaxParts=2)
    assert [one["PartNumber"] for one in listed["Parts"]] == [1, 5] and listed["IsTruncated"]
    rest = s3.list_parts(**name, PartNumberMarker=listed["NextPartNumberMarker"])
    assert [(one["PartNumber"], one["Size"]) for one in rest["Parts"]] == [(9, 3)] and not rest["IsTruncated"]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(one["Key"], one["UploadId"]) for one in uploads] == [("big", begun["UploadId"])]
    refused("404", s3.head_object, Bucket=bucket, Key="big")

    def complete(*pairs):
        return {**name, "MultipartUpload": {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in pairs]}}

    refused("InvalidPart", s3.complete_multipart_upload, **complete((1, tags[0]), (2, tags[1])))
    refused("InvalidPart", s3.complete_multipart_upload, **complete((1, '"x"')))
    refused("InvalidPartOrder", s3.complete_multipart_upload, **complete((5, tags[1]), (1, tags[0])))
    refused("MalformedXML", s3.complete_multipart_upload, **name, MultipartUpload={"Parts": []})
    s3.upload_part(**name, PartNumber=2, Body=b"small")
    small = complete((2, f'"{hashlib.md5(b"small").hexdigest()}"'), (5, tags[1]))
    refused("EntityTooSmall", s3.complete_multipart_upload, **small)
    done = s3.complete_multipart_upload(**complete(*zip((1, 5, 9), tags)))
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    assert done["ETag"] == f'"{digest}-3"'
    # Whoever did not hear of it asks again, as SDKs do by themselves.
    again = s3.complete_multipart_upload(**complete(*zip((1, 5, 9), tags)))
    assert [again[key] for key in ("ETag", "Location", "ChecksumCRC64NVME")] == [done[key] for key in ("ETag", "Location", "ChecksumCRC64NVME")]
    refused("NoSuchUpload", s3.complete_multipart_upload, **complete((1, tags[0])))
    got = s3.get_object(Bucket=bucket, Key="big")
    assert body(got) == b"".join(parts) and got["ContentType"] == "x/y" and got["TagCount"] == 1
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert body(second) == parts[1] and second["PartsCount"] == 3 and second["ResponseMetadata"]["HTTPStatusCode"] == 206
    across = s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={5 * MIB - 3}-{11 * MIB + 1}")
    assert body(across) == b"".join(parts)[5 * MIB - 3 : 11 * MIB + 2]
    refused("InvalidPartNumber", s3.get_object, Bucket=bucket, Key="big", PartNumber=4)
    refused("NoSuchUpload", s3.upload_part, **name, PartNumber=1, Body=b"x")
    refused("NoSuchUpload", s3.abort_multipart_upload, **name)
    copied = s3.copy_object(Bucket=bucket, Key="whole", CopySource={"Bucket": bucket, "Key": "big"})
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}"'
    refused("InvalidArgument", s3.upload_part, **{**name, "UploadId": "x"}, PartNumber=10001, Body=b"x")


def test_parts_that_are_copied(s3, bucket):
    data = os.urandom(11 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=data)
    name = {"Bucket": bucket, "Key": "to"}
    name["UploadId"] = s3.create_multipart_upload(**name, ChecksumAlgorithm="SHA256")["UploadId"]
    source = {"Bucket": bucket, "Key": "from"}
    parts = []
    for number, some in enumerate((f"bytes=0-{5 * MIB - 1}", f"bytes={5 * MIB}-{11 * MIB - 1}"), 1):
        result = s3.upload_part_copy(**name, PartNumber=number, CopySource=source, CopySourceRange=some)["CopyPartResult"]
        parts.append({"PartNumber": number, "ETag": result["ETag"], "ChecksumSHA256": result["ChecksumSHA256"]})
    refused("InvalidRequest", s3.upload_part_copy, **name, PartNumber=3, CopySource=source, CopySourceRange=f"bytes=0-{11 * MIB}")
    refused("InvalidArgument", s3.upload_part_copy, **name, PartNumber=3, CopySource=source, CopySourceRange="bytes=0-")
    done = s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    composite = hashlib.sha256(b"".join(base64.b64decode(one["ChecksumSHA256"]) for one in parts)).digest()
    assert done["ChecksumSHA256"] == base64.b64encode(composite).decode() + "-2" and done["ChecksumType"] == "COMPOSITE"
    assert body(s3.get_object(Bucket=bucket, Key="to")) == data
    shown = s3.get_object_attributes(Bucket=bucket, Key="to", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert shown["TotalPartsCount"] == 2 and [one["Size"] for one in shown["Parts"]] == [5 * MIB, 6 * MIB]


def test_checksums_of_whole_uploads(s3, bucket):
    data = [b"a" * (5 * MIB), b"b" * 1000]
    for algorithm, of in (("CRC32", crc32), ("CRC32C", crc32c), ("CRC64NVME", crc64nvme)):
        name, sum_of = {"Bucket": bucket, "Key": algorithm}, f"Checksum{algorithm}"
        begun = s3.create_multipart_upload(**name, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
        assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == (algorithm, "FULL_OBJECT")
        name["UploadId"] = begun["UploadId"]
        parts = []
        for number, part in enumerate(data, 1):
            sent = s3.upload_part(**name, PartNumber=number, Body=part, **{sum_of: of(part)})
            assert sent[sum_of] == of(part)
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        whole = {**name, "MultipartUpload": {"Parts": parts}}
        refused("BadDigest", s3.complete_multipart_upload, **whole, **{sum_of: of(b"x")})
        done = s3.complete_multipart_upload(**whole, **{sum_of: of(b"".join(data))})
        assert done[sum_of] == of(b"".join(data)) and done["ChecksumType"] == "FULL_OBJECT"
    refused("InvalidRequest", s3.create_multipart_upload, Bucket=bucket, Key="k", ChecksumAlgorithm="SHA1", ChecksumType="FULL_OBJECT")


def test_the_transfer_of_boto3_and_the_cli(platform, s3, bucket, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(os.urandom(30 * MIB))
    s3.upload_file(str(large), bucket, "up", Config=TransferConfig(multipart_threshold=8 * MIB, max_concurrency=4))
    s3.download_file(bucket, "up", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == large.read_bytes()
    platform.aws("s3", "cp", str(large), f"s3://{bucket}/cli/large")
    platform.aws("s3", "cp", f"s3://{bucket}/cli/large", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == large.read_bytes()
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    for name in ("a.txt", "d/b.txt", "d/c c.bin"):
        (tree / name).write_text(name)
        # Times on S3 are whole seconds: a file of this very second is newer than its object.
        os.utime(tree / name, (time.time() - 60,) * 2)
    platform.aws("s3", "sync", str(tree), f"s3://{bucket}/tree")
    assert platform.aws("s3", "sync", str(tree), f"s3://{bucket}/tree").stdout == "", "nothing changed"
    listed = platform.aws("s3", "ls", "--recursive", f"s3://{bucket}/tree/").stdout
    assert [line.split(None, 3)[3] for line in listed.splitlines()] == ["tree/a.txt", "tree/d/b.txt", "tree/d/c c.bin"]
    platform.aws("s3", "mv", f"s3://{bucket}/cli/large", f"s3://{bucket}/moved")
    platform.aws("s3", "rm", "--recursive", f"s3://{bucket}/tree")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["moved", "up"]
    assert platform.aws("s3", "cp", f"s3://{bucket}/none", "-", check=False).returncode != 0
    other = f"b-{uuid.uuid4().hex[:12]}"
    platform.aws("s3", "mb", f"s3://{other}")
    platform.aws("s3", "rb", f"s3://{other}")


def test_versions(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    two = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"2"
    assert [body(s3.get_object(Bucket=bucket, Key="k", VersionId=id)) for id in ("null", one, two)] == [b"0", b"1", b"2"]
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert gone["DeleteMarker"] and gone["VersionId"]
    error = refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="k")
    assert error["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    refused("MethodNotAllowed", s3.get_object, Bucket=bucket, Key="k", VersionId=gone["VersionId"])
    refused("NoSuchVersion", s3.get_object, Bucket=bucket, Key="k", VersionId="f" * 32)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    listed = s3.list_object_versions(Bucket=bucket)
    assert [(v["VersionId"], v["IsLatest"]) for v in listed["Versions"]] == [(two, False), (one, False), ("null", False)]
    assert [(v["VersionId"], v["IsLatest"]) for v in listed["DeleteMarkers"]] == [(gone["VersionId"], True)]
    for size in (1, 2, 3):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [v["VersionId"] for page in pages for v in page.get("Versions", [])] == [two, one, "null"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=gone["VersionId"])
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"2"
    copied = s3.copy_object(Bucket=bucket, Key="old", CopySource={"Bucket": bucket, "Key": "k", "VersionId": one})
    assert copied["CopySourceVersionId"] == one and body(s3.get_object(Bucket=bucket, Key="old")) == b"1"
    s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=one, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=one)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"3")["VersionId"] == "null"
    ids = [v["VersionId"] for v in s3.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]]
    assert ids == ["null", two, one]
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    refused("IllegalVersioningConfigurationException", s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={})


def test_many_are_deleted_at_once(s3, bucket, bare):
    keys = [f"k{number}" for number in range(300)]
    for key in keys[:20]:
        s3.put_object(Bucket=bucket, Key=key)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [one["Key"] for one in answer["Deleted"]] == keys and "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Deleted" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}], "Quiet": True})
    refused("MalformedXML", s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "k"}] * 1001})
    status, _, text = bare.send("POST", f"/{bucket}?delete", b"<Delete><Object><Key>a</Key></Object></Delete>")
    assert status == 400 and b"Content-MD5" in text


def test_what_survives_a_kill(make_platform, tmp_path):
    platform = make_platform()
    s3 = platform.boto3("s3")
    s3.create_bucket(Bucket="kept")
    upload = {"Bucket": "kept", "Key": "begun"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"part")
    written, stop = {}, threading.Event()

    def write(who):
        client, number = platform.boto3("s3"), 0
        while not stop.is_set():
            data = os.urandom(200_000 if number % 5 == 0 else 500)
            try:
                client.put_object(Bucket="kept", Key=f"{who}/{number}", Body=data)
            except Exception:
                return
            written[f"{who}/{number}"] = data
            number += 1

    writers = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for writer in writers:
        writer.start()
    until = time.monotonic() + 60
    while len(written) < 60 and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(platform.pid, signal.SIGKILL)
    stop.set()
    for writer in writers:
        writer.join()
    wait_for("the lock to go", lambda: "not running" in platform.run("status", check=False).stdout)
    platform.up()
    s3 = platform.boto3("s3")
    assert len(written) >= 60
    for key, data in written.items():
        assert body(s3.get_object(Bucket="kept", Key=key)) == data, key
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert body(s3.get_object(Bucket="kept", Key="begun")) == b"part"
    count = sum(page["KeyCount"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="kept"))
    files = [path for path in (platform.data / "buckets").rglob("*") if path.is_file()]
    assert len(files) == count, "no file that nothing names"


def test_a_large_object_costs_little_memory(platform, s3, bucket, tmp_path):
    def resident():
        status = open(f"/proc/{platform.pid}/status").read()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024

    size = 400 * MIB
    path = tmp_path / "zeros"
    with open(path, "wb") as file:
        file.truncate(size)
    open(f"/proc/{platform.pid}/clear_refs", "w").write("5")
    before = resident()
    with open(path, "rb") as file:
        s3.put_object(Bucket=bucket, Key="large", Body=file)
    stream = s3.get_object(Bucket=bucket, Key="large")["Body"]
    assert sum(len(some) for some in stream.iter_chunks(MIB)) == size
    assert resident() - before < 64, f"{before} MiB became {resident()} MiB"


def test_a_full_disk_is_said(make_platform, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.fail("this test mounts a small file system")
    try:
        platform = make_platform()
        s3 = platform.boto3("s3")
        s3.create_bucket(Bucket="small")
        platform.down()
        files = platform.data / "buckets"
        subprocess.run(["mount", "--bind", disk, files], check=True)
        try:
            platform.up()
            s3 = platform.boto3("s3")
            s3.put_object(Bucket="small", Key="fits", Body=b"x" * (20 * MIB))
            for _ in range(3):
                error = refused("InsufficientStorage", s3.put_object, Bucket="small", Key="not", Body=b"x" * (90 * MIB))
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 507
            refused("404", s3.head_object, Bucket="small", Key="not")
            s3.put_object(Bucket="small", Key="fits too", Body=b"x" * (20 * MIB))
            assert len([path for path in files.rglob("*") if path.is_file()]) == 2
            assert len(body(s3.get_object(Bucket="small", Key="fits"))) == 20 * MIB
            platform.down()
        finally:
            subprocess.run(["umount", "-l", files])
    finally:
        subprocess.run(["umount", "-l", disk])


def test_refusals_name_what_is_not_there(s3, bucket):
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    for more in ({"StorageClass": "GLACIER"}, {"ServerSideEncryption": "aws:kms"}, {"ObjectLockMode": "GOVERNANCE"}, {"WebsiteRedirectLocation": "/x"}, {"SSECustomerAlgorithm": "AES256"}):
        assert refused("NotImplemented", s3.put_object, **put, **more)["ResponseMetadata"]["HTTPStatusCode"] == 501
    refused("AccessControlListNotSupported", s3.put_object, **put, ACL="public-read")
    refused("AccessControlListNotSupported", s3.put_object, **put, GrantRead="id=x")
    s3.put_object(**put, ACL="bucket-owner-full-control", ServerSideEncryption="AES256", StorageClass="STANDARD")
    refused("NotImplemented", s3.create_bucket, Bucket="locked-bucket", ObjectLockEnabledForBucket=True)
    refused("NotImplemented", s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}})
    refused("NotImplemented", s3.restore_object, Bucket=bucket, Key="k", RestoreRequest={"Days": 1})
    refused("NotImplemented", s3.select_object_content, Bucket=bucket, Key="k", ExpressionType="SQL", Expression="x", InputSerialization={}, OutputSerialization={})
    refused("NotImplemented", s3.put_bucket_accelerate_configuration, Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    refused("AccessDenied", s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="111111111111")
    refused("NoSuchWebsiteConfiguration", s3.get_bucket_website, Bucket=bucket)
    refused("ObjectLockConfigurationNotFoundError", s3.get_object_lock_configuration, Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
