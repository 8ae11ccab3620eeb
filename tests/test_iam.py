"""IAM and STS, as the aws CLI and boto3 use them."""

import base64
import datetime
import hashlib
import hmac
import json
import sys
import uuid

import botocore.exceptions
import pytest
from conftest import TRUST_LAMBDA
from test_lambda import invoke, rust_hello, zipped

ACCOUNT = "000000000000"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
ALLOW_LOGS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def iam(platform):
    return platform.boto3("iam")


@pytest.fixture
def role(iam):
    """A role of the test's own that Lambda may assume; its name."""
    name = f"Role_{uuid.uuid4().hex[:8]}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    yield name
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def refused(call, *arguments, **parameters):
    """The error code that a call is refused with."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(*arguments, **parameters)
    return error.value.response["Error"]["Code"]


def trust(principal):
    return json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    })


def test_the_life_of_a_role(platform, iam):
    made = iam.create_role(
        RoleName="Life_of-a.role", Path="/team/", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA), Description="first <&> ä",
        MaxSessionDuration=7200, Tags=[{"Key": "Owner", "Value": "ada"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/team/Life_of-a.role"
    assert made["RoleId"].startswith("AROA") and len(made["RoleId"]) == 21
    shown = iam.get_role(RoleName="Life_of-a.role")["Role"]
    assert shown["AssumeRolePolicyDocument"] == TRUST_LAMBDA and shown["Description"] == "first <&> ä"
    assert (shown["MaxSessionDuration"], shown["Path"]) == (7200, "/team/")
    assert shown["Tags"] == [{"Key": "Owner", "Value": "ada"}]
    assert isinstance(shown["CreateDate"], datetime.datetime)
    iam.update_role(RoleName="Life_of-a.role", Description="second", MaxSessionDuration=3600)
    account = json.loads(trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    iam.update_assume_role_policy(RoleName="Life_of-a.role", PolicyDocument=json.dumps(account))
    iam.tag_role(RoleName="Life_of-a.role", Tags=[{"Key": "owner", "Value": "eve"}, {"Key": "b", "Value": ""}])
    shown = iam.get_role(RoleName="Life_of-a.role")["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"]) == ("second", 3600)
    assert shown["AssumeRolePolicyDocument"] == account
    assert iam.list_role_tags(RoleName="Life_of-a.role")["Tags"] == [{"Key": "b", "Value": ""}, {"Key": "owner", "Value": "eve"}]
    iam.untag_role(RoleName="Life_of-a.role", TagKeys=["b"])
    assert [tag["Key"] for tag in iam.list_role_tags(RoleName="Life_of-a.role")["Tags"]] == ["owner"]
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
    names = [role["RoleName"] for page in pages for role in page["Roles"]]
    assert {"dory", "Life_of-a.role"} <= set(names) and len(names) == len(set(names))
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/team/")["Roles"]] == ["Life_of-a.role"]
    assert platform.get("iamroles", "Life_of-a.role")["spec"]["path"] == "/team/"
    iam.delete_role(RoleName="Life_of-a.role")
    assert refused(iam.get_role, RoleName="Life_of-a.role") == "NoSuchEntity"


def test_roles_are_refused_in_the_words_of_iam(iam, role):
    document = json.dumps(TRUST_LAMBDA)
    create = lambda **more: refused(iam.create_role, **{"RoleName": "new", "AssumeRolePolicyDocument": document, **more})
    assert create(RoleName=role) == "EntityAlreadyExists"
    assert create(RoleName=role.upper()) == "EntityAlreadyExists"
    assert create(RoleName="no spaces") == "ValidationError"
    assert create(RoleName="x" * 65) == "ValidationError"
    assert create(Path="nowhere") == "ValidationError"
    assert create(MaxSessionDuration=60) == "ValidationError"
    assert create(AssumeRolePolicyDocument="{") == "MalformedPolicyDocument"
    assert create(AssumeRolePolicyDocument=json.dumps(ALLOW_LOGS)) == "MalformedPolicyDocument"
    assert create(AssumeRolePolicyDocument=trust({"AWS": ["x" * 30] * 100})) == "LimitExceeded"
    assert create(PermissionsBoundary=BASIC) == "InvalidInput"
    assert create(Tags=[{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]) == "InvalidInput"
    assert create(Tags=[{"Key": f"k{i}", "Value": ""} for i in range(51)]) == "LimitExceeded"
    assert refused(iam.update_role, RoleName="nobody") == "NoSuchEntity"
    assert refused(iam.list_roles, MaxItems=1001) == "ValidationError"
    assert refused(iam.create_user, UserName="ada") == "InvalidAction"


def test_inline_policies(iam, role):
    iam.put_role_policy(RoleName=role, PolicyName="logs", PolicyDocument=json.dumps(ALLOW_LOGS))
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["logs"]
    assert iam.get_role_policy(RoleName=role, PolicyName="logs")["PolicyDocument"] == ALLOW_LOGS
    assert refused(iam.delete_role, RoleName=role) == "DeleteConflict"
    put = lambda text, name="logs": refused(iam.put_role_policy, RoleName=role, PolicyName=name, PolicyDocument=text)
    assert put("nonsense") == "MalformedPolicyDocument"
    assert put(json.dumps(TRUST_LAMBDA)) == "MalformedPolicyDocument"
    assert put(json.dumps({**ALLOW_LOGS, "Id": "x" * 10_240})) == "LimitExceeded"
    assert refused(iam.get_role_policy, RoleName=role, PolicyName="other") == "NoSuchEntity"
    iam.delete_role_policy(RoleName=role, PolicyName="logs")
    assert refused(iam.delete_role_policy, RoleName=role, PolicyName="logs") == "NoSuchEntity"


def test_managed_policies(iam, role):
    document = json.dumps(ALLOW_LOGS)
    made = iam.create_policy(PolicyName="Logs_all", Path="/team/", PolicyDocument=document, Description="all")["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/team/Logs_all" and made["DefaultVersionId"] == "v1"
    assert refused(iam.create_policy, PolicyName="logs_ALL", PolicyDocument=document) == "EntityAlreadyExists"
    assert refused(iam.create_policy, PolicyName="p", PolicyDocument="{}") == "MalformedPolicyDocument"
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC} in attached and len(attached) == 2
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert refused(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    assert refused(iam.delete_role, RoleName=role) == "DeleteConflict"
    attach = lambda policy: refused(iam.attach_role_policy, RoleName=role, PolicyArn=policy)
    assert attach(f"arn:aws:iam::{ACCOUNT}:policy/Logs_all") == "NoSuchEntity"
    assert attach("arn:aws:s3:::a-bucket-of-mine") == "InvalidInput"
    assert attach("short") == "ValidationError"
    for i in range(8):
        iam.attach_role_policy(RoleName=role, PolicyArn=f"arn:aws:iam::aws:policy/Some{i}")
    assert attach("arn:aws:iam::aws:policy/OneTooMany") == "LimitExceeded"
    local = iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]
    assert [policy["Arn"] for policy in local] == [arn]
    assert BASIC in [policy["Arn"] for policy in iam.list_policies(Scope="AWS")["Policies"]]
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    assert refused(iam.detach_role_policy, RoleName=role, PolicyArn=arn) == "NoSuchEntity"
    second = {**ALLOW_LOGS, "Id": "second"}
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(second), SetAsDefault=True)
    assert made["PolicyVersion"]["VersionId"] == "v2" and made["PolicyVersion"]["IsDefaultVersion"]
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v2", "v1"]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == second
    assert refused(iam.get_policy_version, PolicyArn=arn, VersionId="v9") == "NoSuchEntity"
    assert refused(iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == "DeleteConflict"
    assert refused(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)
    assert refused(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"
    assert refused(iam.delete_policy, PolicyArn=BASIC) == "InvalidInput"


def test_the_aws_cli_reads_iam(platform):
    made = platform.aws("iam", "create-role", "--role-name", "by-cli", "--assume-role-policy-document", json.dumps(TRUST_LAMBDA))
    assert json.loads(made.stdout)["Role"]["AssumeRolePolicyDocument"] == TRUST_LAMBDA
    platform.aws("iam", "wait", "role-exists", "--role-name", "by-cli")
    assert "by-cli" in platform.aws("iam", "list-roles", "--query", "Roles[].RoleName", "--output", "text").stdout
    platform.aws("iam", "delete-role", "--role-name", "by-cli")
    gone = platform.aws("iam", "get-role", "--role-name", "by-cli", check=False)
    assert "(NoSuchEntity)" in gone.stderr
    assert json.loads(platform.aws("iam", "get-user").stdout)["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_function_needs_a_role_that_lambda_may_assume(platform, iam, role):
    client = platform.boto3("lambda")
    wrong = "The role defined for the function cannot be assumed by Lambda."
    make = lambda arn: client.create_function(
        FunctionName="roleless", Runtime="provided.al2023", Handler="x", Role=arn, Code={"ZipFile": rust_hello()})
    for name in ("nobody", f"team/{role}"):
        with pytest.raises(client.exceptions.InvalidParameterValueException, match=wrong):
            make(f"arn:aws:iam::{ACCOUNT}:role/{name}")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    assert make(arn)["Role"] == arn
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=wrong):
        client.update_function_configuration(FunctionName="roleless", Role=arn)
    client.delete_function(FunctionName="roleless")


def session(platform, credentials):
    """Settings of a boto3 client that signs with temporary credentials."""
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def test_roles_can_be_assumed(platform, iam, role):
    sts = platform.boto3("sts")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    # The trust policy names Lambda alone.
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ada") == "AccessDenied"
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": ACCOUNT}))
    assumed = sts.assume_role(RoleArn=arn, RoleSessionName="ada", DurationSeconds=900)
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/ada"
    left = assumed["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=10) < left <= datetime.timedelta(minutes=15)
    settings = session(platform, assumed["Credentials"])
    me = platform.boto3("sts", **settings).get_caller_identity()
    assert me["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    assert me["UserId"] == f"{iam.get_role(RoleName=role)['Role']['RoleId']}:ada"
    assert platform.boto3("lambda", **settings).list_functions()["Functions"] is not None
    assert refused(platform.boto3("iam", **settings).get_user) == "ValidationError"
    assert refused(platform.boto3("sts", **settings).get_session_token) == "AccessDenied"
    assume = lambda **more: refused(sts.assume_role, **{"RoleArn": arn, "RoleSessionName": "ada", **more})
    assert assume(DurationSeconds=7200) == "ValidationError"
    assert assume(DurationSeconds=60) == "ValidationError"
    assert assume(RoleSessionName="a") == "ValidationError"
    assert assume(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/nobody") == "AccessDenied"
    assert assume(RoleArn=f"arn:aws:iam::111111111111:role/{role}") == "AccessDenied"
    assert assume(Policy=json.dumps(ALLOW_LOGS)) == "InvalidInput"
    condition = json.loads(trust({"AWS": ACCOUNT}))
    condition["Statement"][0]["Condition"] = {"StringEquals": {"sts:ExternalId": "secret"}}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(condition))
    assert assume() == "AccessDenied" and assume(ExternalId="other") == "AccessDenied"
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ada", ExternalId="secret")["Credentials"]


def test_sessions_of_the_account_and_what_is_refused(platform, iam):
    credentials = platform.boto3("sts").get_session_token()["Credentials"]
    settings = session(platform, credentials)
    assert platform.boto3("sts", **settings).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    wrong = {**settings, "aws_secret_access_key": "x" * 40}
    assert refused(platform.boto3("sts", **wrong).get_caller_identity) == "SignatureDoesNotMatch"
    assert refused(platform.boto3("lambda", **wrong).list_functions) == "InvalidSignatureException"
    wrong = {**settings, "aws_session_token": settings["aws_session_token"][:-8] + "AAAAAAA="}
    assert refused(platform.boto3("sts", **wrong).get_caller_identity) == "InvalidClientTokenId"
    assert refused(platform.boto3("lambda", **wrong).list_functions) == "UnrecognizedClientException"
    tokenless = {**settings, "aws_session_token": None}
    assert refused(platform.boto3("sts", **tokenless).get_caller_identity) == "InvalidClientTokenId"
    # Whoever assumed a role that is gone is nobody.
    iam.create_role(RoleName="short-lived", AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
    arn = f"arn:aws:iam::{ACCOUNT}:role/short-lived"
    made = platform.boto3("sts").assume_role(RoleArn=arn, RoleSessionName="ada")["Credentials"]
    iam.delete_role(RoleName="short-lived")
    gone = session(platform, made)
    assert refused(platform.boto3("sts", **gone).get_caller_identity) == "InvalidClientTokenId"
    assert refused(platform.boto3("lambda", **gone).list_functions) == "UnrecognizedClientException"


# A function that calls AWS APIs with what is in its environment, signed by the book. No SDK is bundled.
CALLER = '''
import datetime, hashlib, hmac, os, urllib.error, urllib.request

def call(service, path, body, form, keys):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    region, host = os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL"].split("//")[1]
    headers = {"host": host, "x-amz-date": now, "x-amz-security-token": keys["AWS_SESSION_TOKEN"]}
    sha = lambda data: hashlib.sha256(data).hexdigest()
    canonical = "".join(f"{name}:{headers[name]}\\n" for name in sorted(headers))
    request = f"POST\\n{path}\\n\\n{canonical}\\n{';'.join(sorted(headers))}\\n{sha(body)}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    key = ("AWS4" + keys["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\\n{now}\\n{scope}\\n{sha(request.encode())}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={keys['AWS_ACCESS_KEY_ID']}/{scope}, "
                                f"SignedHeaders={';'.join(sorted(headers))}, Signature={signature}")
    headers["content-type"] = "application/x-www-form-urlencoded" if form else "application/json"
    sent = urllib.request.Request(f"http://{host}{path}", body, headers, method="POST")
    try:
        return urllib.request.urlopen(sent, timeout=20).read().decode()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"

def handler(event, context):
    keys = event.get("keys") or {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if event["do"] == "keys":
        return keys
    if event["do"] == "invoke":
        return call("lambda", f"/2015-03-31/functions/{event['name']}/invocations", b"{}", False, keys)
    return call("sts", "/", b"Action=GetCallerIdentity&Version=2011-06-15", True, keys)
'''


@pytest.fixture
def callers(platform, role):
    """Two functions that call AWS APIs."""
    client = platform.boto3("lambda")
    names = [f"caller-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for name in names:
        client.create_function(
            FunctionName=name, Runtime=f"python3.{sys.version_info.minor}", Handler="app.handler", Timeout=20,
            Role=f"arn:aws:iam::{ACCOUNT}:role/{role}", Code={"ZipFile": zipped(app__py=CALLER)})
    yield client, *names
    for name in names:
        client.delete_function(FunctionName=name)


def test_functions_call_aws_as_their_role(platform, role, callers):
    client, one, other = callers
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{one}"
    _, answer = invoke(client, one, {"do": "whoami"})
    assert f"<Arn>{arn}</Arn>" in answer
    client.create_function(
        FunctionName=f"{one}-target", Runtime="provided.al2023", Handler="x", Role=f"arn:aws:iam::{ACCOUNT}:role/dory",
        Code={"ZipFile": rust_hello()})
    _, answer = invoke(client, one, {"do": "invoke", "name": f"{one}-target"})
    assert not answer.startswith(("4", "5")) and json.loads(answer)
    client.delete_function(FunctionName=f"{one}-target")
    _, keys = invoke(client, one, {"do": "keys"})
    assert keys["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    # They are of no use in another instance, whatever that one presents itself as.
    _, answer = invoke(client, other, {"do": "whoami", "keys": keys})
    assert answer.startswith("403 ") and "<Code>InvalidClientTokenId</Code>" in answer
    # Whoever the function hands a signed request to may send it from elsewhere.
    settings = {
        "aws_access_key_id": keys["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": keys["AWS_SECRET_ACCESS_KEY"],
        "aws_session_token": keys["AWS_SESSION_TOKEN"],
    }
    assert platform.boto3("sts", **settings).get_caller_identity()["Arn"] == arn


def test_sessions_end(platform):
    """A session that ended a minute ago, made with the platform's own seed."""
    seed = json.loads((platform.data / "credentials").read_text())["session_seed"].encode()
    mac = lambda key, data: hmac.new(key, data, hashlib.sha256).digest()
    key = mac(seed, b"dory session seal")

    def made(seconds):
        ends = int((datetime.datetime.now() + datetime.timedelta(seconds=seconds)).timestamp())
        text = f"1\ndory\nada\n{ends}\n".encode()
        seal = mac(key, text)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        return {
            "aws_access_key_id": "ASIA" + "".join(letters[byte % 32] for byte in mac(key, b"id" + seal)[:16]),
            "aws_secret_access_key": base64.b64encode(mac(key, b"secret" + seal)[:30]).decode(),
            "aws_session_token": base64.b64encode(text + seal).decode(),
        }

    assert platform.boto3("sts", **made(600)).get_caller_identity()["Arn"].endswith(":assumed-role/dory/ada")
    assert refused(platform.boto3("sts", **made(-60)).get_caller_identity) == "ExpiredToken"
    assert refused(platform.boto3("lambda", **made(-60)).list_functions) == "ExpiredTokenException"
