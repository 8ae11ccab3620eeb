"""Who may do what with buckets: signatures in all the ways that clients of S3 sign, addresses, policies, and pages of other
origins."""

import datetime
import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request

import pytest
from botocore.config import Config
from conftest import wait_for
from test_s3 import Bare, body, bucket, crc32, refused, s3  # noqa: F401


@pytest.fixture(scope="module")
def bare(platform):
    return Bare(platform)


def fetch(url, method="GET", data=None, headers=None):
    """Status, headers and body of a plain request."""
    request = urllib.request.Request(url, method=method, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def code(text):
    return text.split(b"<Code>")[1].split(b"<")[0].decode()


def test_signatures_are_verified(platform, s3, bucket, bare):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert bare.send("GET", f"/{bucket}/k")[2] == b"x"
    wrong = platform.boto3("s3", aws_secret_access_key="wrong")
    refused("SignatureDoesNotMatch", wrong.get_object, Bucket=bucket, Key="k")
    refused("InvalidAccessKeyId", platform.boto3("s3", aws_access_key_id="AKIANOBODY").get_object, Bucket=bucket, Key="k")
    refused("InvalidAccessKeyId", platform.boto3("s3", aws_session_token="x").get_object, Bucket=bucket, Key="k")
    status, _, text = bare.send("PUT", f"/{bucket}/k", b"good", change={"x-amz-content-sha256": hashlib.sha256(b"evil").hexdigest()})
    assert (status, code(text)) == (403, "SignatureDoesNotMatch")
    status, _, text = bare.send("PUT", f"/{bucket}/k", b"evil", actual=b"good")
    assert (status, code(text)) == (400, "XAmzContentSHA256Mismatch")
    old = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=20)).strftime("%Y%m%dT%H%M%SZ")
    status, _, text = bare.send("GET", f"/{bucket}/k", change={"X-Amz-Date": old})
    assert status == 403 and code(text) in ("RequestTimeTooSkewed", "SignatureDoesNotMatch")
    assert code(bare.send("GET", f"/{bucket}/k", sign=False)[2]) == "AccessDenied"
    elsewhere = platform.boto3("s3", region_name="eu-west-1", config=Config(retries={"max_attempts": 0}))
    assert body(elsewhere.get_object(Bucket=bucket, Key="k")) == b"x", "the client is told the region"
    status, headers, text = bare.send("GET", f"/{bucket}/none")
    assert status == 404 and headers["x-amz-request-id"] in text.decode() and b"<Key>none</Key>" in text
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"x"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_addresses_that_are_signed(platform, s3, bucket, version):
    signer = platform.boto3("s3", config=Config(signature_version=version))
    default = platform.boto3("s3", config=Config())
    key = "a b/ü+&=.txt"
    for client in (signer, default):
        put = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key, "ContentType": "text/x"}, ExpiresIn=60)
        assert fetch(put, "PUT", b"hello", {"Content-Type": "text/x"})[0] == 200
        get = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key, "ResponseContentType": "a/b"}, ExpiresIn=60)
        status, headers, text = fetch(get)
        assert (status, text, headers["Content-Type"]) == (200, b"hello", "a/b")
        assert fetch(get, headers={"Range": "bytes=1-2"})[2] == b"el"
        assert code(fetch(get + "x")[2]) in ("SignatureDoesNotMatch", "AuthorizationQueryParametersError")
        assert code(fetch(get.replace("hello", "other"), "PUT", b"x")[2]) == "SignatureDoesNotMatch"
        remove = client.generate_presigned_url("delete_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)
        assert fetch(remove, "DELETE")[0] == 204
        assert code(fetch(get)[2]) == "NoSuchKey"
        late = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=-5)
        assert fetch(late)[0] in (400, 403)
    cli = platform.aws("s3", "presign", f"s3://{bucket}/cli").stdout.strip()
    s3.put_object(Bucket=bucket, Key="cli", Body=b"cli")
    assert fetch(cli)[2] == b"cli"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_an_address_gives_nothing_but_what_was_signed(platform, s3, bucket, version):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(Bucket=bucket, Key="k", Body=text)["VersionId"] for text in (b"old", b"new"))
    signer = platform.boto3("s3", config=Config(signature_version=version))

    def sign(operation, **params):
        return signer.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "k", **params}, ExpiresIn=60)

    put, get = sign("put_object"), sign("get_object")
    for headers in ({"x-amz-copy-source": f"/{bucket}/secret"}, {"x-amz-tagging": "a=b"}, {"x-amz-meta-a": "b"}):
        status, _, text = fetch(put, "PUT", b"", headers)
        assert status == 403 and code(text) == ("SignatureDoesNotMatch" if version == "s3" else "AccessDenied"), headers
        assert version == "s3" or f"<HeadersNotSigned>{next(iter(headers))}</HeadersNotSigned>" in text.decode()
    for more in (
        f"x-amz-copy-source=/{bucket}/secret", f"X-Amz-Copy-Source=/{bucket}/secret", f"%78-amz-copy-source=/{bucket}/secret",
        "tagging", "%74agging", "tagg%69ng=",
    ):
        assert code(fetch(f"{put}&{more}", "PUT", b"")[2]) == "SignatureDoesNotMatch", more
    for more in (f"versionId={old}", f"%76ersionId={old}"):
        assert code(fetch(f"{get}&{more}")[2]) == "SignatureDoesNotMatch", more
    both = sign("get_object", VersionId=new)
    assert fetch(both)[2] == b"new"
    for changed in (both.replace("?", f"?versionId={old}&"), f"{both}&versionId={old}"):
        assert code(fetch(changed)[2]) == "SignatureDoesNotMatch"
    copy = sign("copy_object", CopySource=f"{bucket}/k")
    if "x-amz-copy-source=" in copy:
        assert code(fetch(copy, "PUT", b"", {"x-amz-copy-source": f"{bucket}/secret"})[2]) == "SignatureDoesNotMatch"
    remove = signer.generate_presigned_url("delete_bucket", Params={"Bucket": bucket}, ExpiresIn=60)
    assert fetch(remove + "&publicAccessBlock", "DELETE")[0] in (400, 403)
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"new"


def signature(key, *texts):
    return hmac.new(key, "\n".join(texts).encode(), hashlib.sha256).hexdigest()


class Chunked(Bare):
    """Uploads in chunks, each signed on its own, as the SDKs for other languages make them."""

    def put(self, path, chunks, trailer=None, signed=True, spoil=None, length=None):
        kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if signed else "STREAMING-UNSIGNED-PAYLOAD"
        headers = {
            "x-amz-content-sha256": kind + ("-TRAILER" if trailer else ""), "Content-Encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(length or sum(map(len, chunks))),
        }
        if trailer:
            headers["x-amz-trailer"] = trailer[0]
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        headers.update({"x-amz-date": now, "host": f"127.0.0.1:{self.port}"})
        names = ";".join(sorted(name.lower() for name in headers))
        lines = "".join(f"{name}:{value}\n" for name, value in sorted((n.lower(), v) for n, v in headers.items()))
        request = "\n".join(["PUT", path, "", lines, names, headers["x-amz-content-sha256"]])
        key = f"AWS4{self.credentials.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        last = signature(key, "AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest())
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, SignedHeaders={names}, Signature={last}"
        empty, data = hashlib.sha256(b"").hexdigest(), b""
        for number, chunk in enumerate([*chunks, b""]):
            last = signature(key, "AWS4-HMAC-SHA256-PAYLOAD", now, scope, last, empty, hashlib.sha256(chunk).hexdigest())
            sent = bytes(len(chunk)) if spoil == number else chunk
            data += f"{len(chunk):x}".encode() + (f";chunk-signature={last}".encode() if signed else b"") + b"\r\n" + sent
            data += b"\r\n" if chunk or not trailer else b""
        if trailer:
            name, value = trailer
            data += f"{name}:{value}\r\n".encode()
            if signed:
                hashed = hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()
                last = signature(key, "AWS4-HMAC-SHA256-TRAILER", now, scope, last, hashed)
                data += f"x-amz-trailer-signature:{last if spoil != 'trailer' else '0' * 64}\r\n".encode()
            data += b"\r\n"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("PUT", path, body=data, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_bodies_in_chunks(platform, s3, bucket):
    chunked = Chunked(platform)
    chunks = [b"a" * 70_000, b"b" * 65_536, b"end"]
    whole = b"".join(chunks)
    path = f"/{bucket}/k"
    for signed in (True, False):
        if signed:
            assert chunked.put(path, chunks)[0] == 200
            assert body(s3.get_object(Bucket=bucket, Key="k")) == whole
        assert chunked.put(path, chunks, ("x-amz-checksum-crc32", crc32(whole)), signed)[0] == 200
        got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert body(got) == whole and got["ChecksumCRC32"] == crc32(whole) and "ContentEncoding" not in got
        status, text = chunked.put(path, chunks, ("x-amz-checksum-crc32", crc32(b"other")), signed)
        assert (status, code(text)) == (400, "BadDigest")
    for spoil in (0, 2, "trailer"):
        status, text = chunked.put(path, chunks, ("x-amz-checksum-crc32", crc32(whole)), spoil=spoil)
        assert (status, code(text)) == (403, "SignatureDoesNotMatch"), spoil
    status, text = chunked.put(path, chunks, length=5)
    assert (status, code(text)) == (400, "IncompleteBody")
    status, text = chunked.put(path, chunks, length=10**6)
    assert (status, code(text)) == (400, "IncompleteBody")
    assert body(s3.get_object(Bucket=bucket, Key="k")) == whole


def test_buckets_in_host_names(platform, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"by path")
    port = platform.endpoints["aws_port"]
    # Python does not resolve these names by itself: the connection is made to the address, the name goes in the header.
    for host in (f"{bucket}.localhost:{port}", f"{bucket}.s3.localhost:{port}", f"{bucket}.s3.us-east-1.localhost:{port}"):
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method="GET", url=f"http://{host}/a/k", headers={"host": host})
        S3SigV4Auth(Bare(platform).credentials, "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/a/k", headers=dict(request.headers))
        assert connection.getresponse().read() == b"by path", host


def test_temporary_credentials(platform, s3, bucket):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    iam = platform.boto3("iam")
    role = iam.create_role(RoleName=f"r-{bucket}", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    made = platform.boto3("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")["Credentials"]
    keys = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"], "aws_session_token": made["SessionToken"]}
    session = platform.boto3("s3", **keys)
    session.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = session.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert fetch(url)[2] == b"x"
    url = platform.boto3("s3", config=Config(signature_version="s3v4"), **keys).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert fetch(url)[2] == b"x"
    deny = {"Effect": "Deny", "Principal": {"AWS": role["Arn"]}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    refused("AccessDenied", session.get_object, Bucket=bucket, Key="k")
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"x", "the account itself"
    iam.delete_role(RoleName=f"r-{bucket}")
    refused("InvalidAccessKeyId", session.list_objects_v2, Bucket=bucket)


def test_policies_let_everybody_in_or_keep_somebody_out(platform, s3, bucket, bare):
    s3.put_object(Bucket=bucket, Key="open/k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/open/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    refused("AccessDenied", s3.put_bucket_policy, Bucket=bucket, Policy=policy)
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    s3.delete_public_access_block(Bucket=bucket)
    refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    assert bare.send("GET", f"/{bucket}/open/k", sign=False)[2] == b"x"
    for method, path in (("GET", "/open/none"), ("GET", "/k"), ("PUT", "/open/k"), ("DELETE", "/open/k"), ("GET", ""), ("DELETE", "")):
        status, _, text = bare.send(method, f"/{bucket}{path}", sign=False)
        assert (status, code(text)) == (403, "AccessDenied"), (method, path)
    lists = {**allow, "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow, lists]}))
    assert code(bare.send("GET", f"/{bucket}/open/none", sign=False)[2]) == "NoSuchKey", "who may list may know"
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert bare.send("GET", f"/{bucket}/open/k", sign=False)[0] == 403
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [deny]}))
    refused("AccessDenied", s3.delete_object, Bucket=bucket, Key="k")
    errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})["Errors"]
    assert [one["Code"] for one in errors] == ["AccessDenied"]
    everything = {**deny, "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [everything]}))
    refused("AccessDenied", s3.list_objects_v2, Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    refused("MalformedPolicy", s3.put_bucket_policy, Bucket=bucket, Policy="{")
    other = {**deny, "Resource": "arn:aws:s3:::other/*"}
    refused("MalformedPolicy", s3.put_bucket_policy, Bucket=bucket, Policy=json.dumps({"Statement": [other]}))


def test_pages_of_other_origins(platform, s3, bucket, bare):
    refused("NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=bucket)
    rule = {"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-amz-*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
    origin = {"Origin": "https://a.example.com", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-amz-date"}
    status, headers, _ = bare.send("OPTIONS", f"/{bucket}/k", headers=origin, sign=False)
    assert status == 200 and headers["access-control-allow-origin"] == "https://a.example.com" and headers["access-control-max-age"] == "60"
    assert bare.send("OPTIONS", f"/{bucket}/k", headers={**origin, "Origin": "https://example.org"}, sign=False)[0] == 403
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    _, headers, _ = bare.send("GET", f"/{bucket}/k", headers={"Origin": "https://a.example.com"})
    assert headers["access-control-expose-headers"] == "ETag"
    s3.delete_bucket_cors(Bucket=bucket)
    refused("InvalidRequest", s3.put_bucket_cors, Bucket=bucket, CORSConfiguration={"CORSRules": [{**rule, "AllowedMethods": ["PATCH"]}]})


def test_other_settings(s3, bucket):
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=bucket)
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=bucket)
    refused("InvalidTag", s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": [tags[0], tags[0]]})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    refused("NoSuchKey", s3.put_object_tagging, Bucket=bucket, Key="none", Tagging={"TagSet": tags})
    refused("BadRequest", s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]})
    default = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert default["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    kms = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
    refused("NotImplemented", s3.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration=kms)
    s3.delete_bucket_encryption(Bucket=bucket)
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rules
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    refused("NotImplemented", s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    refused("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, Bucket=bucket)
    grants = s3.get_bucket_acl(Bucket=bucket)
    assert [one["Permission"] for one in grants["Grants"]] == ["FULL_CONTROL"] and s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Grants": grants["Grants"], "Owner": grants["Owner"]})
    refused("AccessControlListNotSupported", s3.put_bucket_acl, Bucket=bucket, ACL="public-read")


def test_what_is_too_old_goes(s3, bucket):
    refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    for key in ("old/a", "old/b", "young"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    yesterday = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    rules = [
        {"ID": "past", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Date": yesterday}},
        {"ID": "days", "Status": "Enabled", "Filter": {"Prefix": "y"}, "Expiration": {"Days": 3}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    wait_for("what is too old is gone", lambda: s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1)
    assert 'rule-id="days"' in s3.head_object(Bucket=bucket, Key="young")["Expiration"]
    transition = [{"ID": "t", "Status": "Enabled", "Filter": {"Prefix": ""}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}]
    refused("NotImplemented", s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration={"Rules": transition})
    s3.delete_bucket_lifecycle(Bucket=bucket)


def test_documents_that_are_none(s3, bucket, bare):
    # To read these would take minutes, and nobody else would be answered meanwhile.
    nested = b"".join(b"<a xmlns:b%d='%d'>" % (n, n) for n in range(5000))
    wide = b"<a" + b"".join(b" b%d=''" % n for n in range(300_000)) + b"/>"
    for document in (b"", b"<", b"<Other/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><VersioningConfiguration>&b;</VersioningConfiguration>", b"\xff", b"<a>" * 100_000, nested, wide):
        status, _, text = bare.send("PUT", f"/{bucket}?versioning", document)
        assert (status, code(text)) == (400, "MalformedXML"), document[:20]
    status, _, text = bare.send("PUT", f"/{bucket}?versioning", b" " * (5 << 20))
    assert (status, code(text)) == (400, "MaxMessageLengthExceeded")
    assert bare.send("PATCH", f"/{bucket}/k")[0] == 405
    assert code(bare.send("POST", f"/{bucket}", b"form")[2]) == "NotImplemented"
