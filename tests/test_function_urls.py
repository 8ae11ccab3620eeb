"""Who may call a function's URL, and from which web page: signatures, policies, CORS."""

import base64
import json
import subprocess
import uuid

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from conftest import open_url, wait_for
from test_lambda import shell_runtime

ROLE = "arn:aws:iam::000000000000:role/dory"
# Answers with the part of the event that says who calls.
WHO = shell_runtime("""printf '{"statusCode":200,"headers":{"x-made":"here"},"body":"%s"}' "$(echo "$EVENT" | base64 -w0)" """)


@pytest.fixture(scope="module")
def client(platform):
    return platform.boto3("lambda")


@pytest.fixture
def function(client):
    """A function of the test's own; its name."""
    name = f"url-{uuid.uuid4().hex[:8]}"
    client.create_function(FunctionName=name, Runtime="provided.al2023", Handler="x", Role=ROLE, Code={"ZipFile": WHO})
    yield name
    client.delete_function(FunctionName=name)


def curl(url, method="GET", **headers):
    """Status, headers in lower case, body."""
    flags = [word for name, value in headers.items() for word in ("-H", f"{name.replace('_', '-')}: {value}")]
    command = ["curl", "-sS", "-i", "-X", method, *flags, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, _, body = done.stdout.partition("\n\n") if "\r\n\r\n" not in done.stdout else done.stdout.partition("\r\n\r\n")
    first, *lines = head.splitlines()
    return int(first.split()[1]), {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}, body


def signed(platform, url, service="lambda", **keys):
    """The headers of a GET that botocore signed."""
    environment = platform.environment
    credentials = botocore.credentials.Credentials(
        keys.get("id", environment["AWS_ACCESS_KEY_ID"]), keys.get("secret", environment["AWS_SECRET_ACCESS_KEY"]), keys.get("token"))
    request = botocore.awsrequest.AWSRequest("GET", url)
    botocore.auth.SigV4Auth(credentials, service, environment["AWS_REGION"]).add_auth(request)
    return {name.replace("-", "_"): value for name, value in request.headers.items()}


def event(answer):
    return json.loads(base64.b64decode(answer[2]))


def test_a_url_without_authentication_needs_a_policy(client, function):
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    closed = wait_for("the route", lambda: (got := curl(url))[0] != 404 and got)
    assert (closed[0], json.loads(closed[2])) == (403, {"Message": "Forbidden"})
    client.add_permission(
        FunctionName=function, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    # One statement is not enough: AWS asks for both.
    assert curl(url)[0] == 403
    client.add_permission(
        FunctionName=function, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True)
    answer = wait_for("the policy", lambda: (got := curl(url))[0] == 200 and got)
    context = event(answer)["requestContext"]
    assert context["accountId"] == "anonymous" and "authorizer" not in context
    client.remove_permission(FunctionName=function, StatementId="url")
    wait_for("the policy to go", lambda: curl(url)[0] == 403)


def test_a_url_with_authentication_wants_a_signature(platform, client, function):
    url = client.create_function_url_config(FunctionName=function, AuthType="AWS_IAM")["FunctionUrl"]
    bare = wait_for("the route", lambda: (got := curl(url))[0] != 404 and got)
    assert (bare[0], json.loads(bare[2])) == (403, {"Message": "Forbidden"})
    answer = curl(url, **signed(platform, url))
    assert answer[0] == 200
    iam = event(answer)["requestContext"]["authorizer"]["iam"]
    assert (iam["userArn"], iam["accountId"]) == ("arn:aws:iam::000000000000:root", "000000000000")
    assert curl(url, **signed(platform, url, service="s3"))[0] == 403
    assert curl(url, **signed(platform, url, secret="x" * 40))[0] == 403
    role = platform.boto3("iam").get_role(RoleName="dory")["Role"]
    made = platform.boto3("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="ada")["Credentials"]
    keys = {"id": made["AccessKeyId"], "secret": made["SecretAccessKey"], "token": made["SessionToken"]}
    iam = event(curl(url, **signed(platform, url, **keys)))["requestContext"]["authorizer"]["iam"]
    assert iam["userArn"] == "arn:aws:sts::000000000000:assumed-role/dory/ada"
    assert iam["callerId"] == iam["userId"] == f"{role['RoleId']}:ada"
    assert curl(url, **signed(platform, url, **{**keys, "token": "nonsense"}))[0] == 403


def test_cross_origin_requests(client, function):
    cors = {"AllowOrigins": ["https://a.test"], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["x-mine"],
            "ExposeHeaders": ["x-made"], "MaxAge": 60, "AllowCredentials": True}
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE", Cors=cors)["FunctionUrl"]
    open_url(client, function)
    wait_for("the route", lambda: curl(url)[0] == 200)
    asked = {"Origin": "https://a.test", "Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "x-mine"}
    status, headers, body = curl(url, "OPTIONS", **asked)
    assert (status, body) == (200, "")
    assert headers["access-control-allow-origin"] == "https://a.test"
    assert headers["access-control-allow-methods"] == "GET,POST"
    assert headers["access-control-allow-headers"] == "x-mine"
    assert headers["access-control-max-age"] == "60"
    assert headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in curl(url, "OPTIONS", **{**asked, "Origin": "https://b.test"})[1]
    assert "access-control-allow-origin" not in curl(url, "OPTIONS", **{**asked, "Access_Control_Request_Method": "PUT"})[1]
    _, headers, _ = curl(url, Origin="https://a.test")
    assert headers["access-control-allow-origin"] == "https://a.test"
    assert headers["access-control-expose-headers"] == "x-made"
    assert "access-control-allow-origin" not in curl(url, Origin="https://b.test")[1]
    client.update_function_url_config(FunctionName=function, Cors={})
    # The function answers such requests itself now.
    wait_for("the change", lambda: curl(url, "OPTIONS", **asked)[1].get("x-made") == "here")


def test_an_alias_has_a_url_of_its_own(client, function):
    version = client.publish_version(FunctionName=function)["Version"]
    client.create_alias(FunctionName=function, Name="live", FunctionVersion=version)
    url = client.create_function_url_config(FunctionName=function, Qualifier="live", AuthType="NONE")["FunctionUrl"]
    open_url(client, function, Qualifier="live")
    answer = wait_for("the route", lambda: (got := curl(url))[0] == 200 and got)
    assert event(answer)["requestContext"]["accountId"] == "anonymous"
    client.delete_function_url_config(FunctionName=function, Qualifier="live")
    wait_for("the route to go", lambda: curl(url)[0] == 404)
    client.delete_alias(FunctionName=function, Name="live")
