"""What people do with the aws CLI and boto3, done with the real ones."""

import base64
import io
import json
import subprocess
import urllib.request
import zipfile

import botocore.exceptions
import pytest
from conftest import EXAMPLES, ROOT, open_url, wait_for

ROLE = "arn:aws:iam::000000000000:role/test"


def zipped(**files):
    """A zip of text files, as bytes; `bootstrap` is executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name.replace("__", "."))
            info.external_attr = 0o755 << 16
            archive.writestr(info, text)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def awslambda(platform):
    return platform.boto3("lambda")


@pytest.fixture(scope="session")
def create(awslambda):
    """Creates a function; the name is the caller's to choose and to keep unlike others."""

    def make(name, code, runtime="provided.al2023", handler="bootstrap", **more):
        return awslambda.create_function(
            FunctionName=name, Runtime=runtime, Role=ROLE, Handler=handler, Code={"ZipFile": code}, **more
        )

    return make


def shell_runtime(reply):
    """A bootstrap in shell: answers each event with what `reply` prints, which may read $EVENT and $ID."""
    return zipped(bootstrap=f"""#!/bin/sh
set -u
while true; do
  headers=$(mktemp)
  EVENT=$(curl -sS -D "$headers" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
  ID=$(sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *\\([^\\r]*\\).*/\\1/p' "$headers")
  curl -sS -o /dev/null -d "$({reply})" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$ID/response"
done
""")


def invoke(awslambda, name, event=None, **more):
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event or {}), **more)
    return answer, json.loads(answer["Payload"].read() or "null")


def rust_hello():
    return zipped(bootstrap=(EXAMPLES / "bootstrap").read_bytes())


def test_the_life_of_a_function(platform, awslambda, create):
    made = create("life", rust_hello(), Description="first", Environment={"Variables": {"A": "1"}})
    assert (made["State"], made["LastUpdateStatus"], made["Version"]) == ("Active", "Successful", "$LATEST")
    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:life"
    assert (made["MemorySize"], made["Timeout"]) == (128, 3)
    answer, _ = invoke(awslambda, "life", {"name": "Ada"}, LogType="Tail")
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    log = base64.b64decode(answer["LogResult"]).decode()
    assert log.splitlines()[0].startswith("START RequestId: ") and "\nREPORT RequestId: " in log
    assert "Init Duration" in log and "Memory Size: 128 MB" in log
    assert [one["metadata"]["name"] for one in platform.get("functions")["items"]].count("life") == 1
    changed = awslambda.update_function_configuration(FunctionName="life", MemorySize=256, Timeout=5)
    assert (changed["MemorySize"], changed["Description"]) == (256, "first")
    before = changed["CodeSha256"]
    updated = awslambda.update_function_code(FunctionName="life", ZipFile=shell_runtime("echo '\"new code\"'"))
    assert updated["CodeSha256"] != before
    assert invoke(awslambda, "life")[1] == "new code"
    shown = awslambda.get_function(FunctionName="life")
    assert urllib.request.urlopen(shown["Code"]["Location"]).status == 200
    names = [one["FunctionName"] for page in awslambda.get_paginator("list_functions").paginate() for one in page["Functions"]]
    assert "life" in names
    awslambda.delete_function(FunctionName="life")
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_function(FunctionName="life")
    assert "NotFound" in platform.kubectl("get", "function", "life", check=False).stderr


def test_the_aws_cli(platform, tmp_path):
    (tmp_path / "hello.zip").write_bytes(rust_hello())
    platform.aws("lambda", "create-function", "--function-name", "by-cli", "--runtime", "provided.al2023", "--role", ROLE,
                 "--handler", "bootstrap", "--zip-file", f"fileb://{tmp_path}/hello.zip")
    platform.aws("lambda", "wait", "function-active-v2", "--function-name", "by-cli")
    out = tmp_path / "out.json"
    shown = platform.aws("lambda", "invoke", "--function-name", "by-cli", str(out))
    assert json.loads(shown.stdout)["StatusCode"] == 200 and json.loads(out.read_text())
    assert "by-cli" in platform.aws("lambda", "list-functions", "--query", "Functions[].FunctionName").stdout
    assert json.loads(platform.aws("sts", "get-caller-identity").stdout)["Account"] == "000000000000"
    dry = platform.aws("lambda", "invoke", "--function-name", "by-cli", "--invocation-type", "DryRun", str(out))
    assert json.loads(dry.stdout)["StatusCode"] == 204
    platform.aws("lambda", "delete-function", "--function-name", "by-cli")
    missing = platform.aws("lambda", "get-function", "--function-name", "by-cli", check=False)
    assert "(ResourceNotFoundException)" in missing.stderr


def test_function_urls_answer_http(platform, awslambda, create):
    create("by-url", shell_runtime("echo '{\"statusCode\": 201, \"headers\": {\"x-made\": \"here\"}, \"body\": \"hi\"}'"))
    url = awslambda.create_function_url_config(FunctionName="by-url", AuthType="NONE")["FunctionUrl"]
    open_url(awslambda, "by-url")
    answer = wait_for("the route", lambda: curl(url) if curl(url)[0] == "201" else None)
    assert answer == ("201", "hi")
    assert awslambda.get_function_url_config(FunctionName="by-url")["FunctionUrl"] == url
    awslambda.delete_function_url_config(FunctionName="by-url")
    wait_for("the route to go", lambda: curl(url)[0] in ("403", "404"))


def curl(url):
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", url], capture_output=True, text=True)
    body, _, code = done.stdout.rpartition("\n")
    return code, body


def test_node_and_python_handlers(awslambda, create):
    code = "exports.handler = async (event, context) => ({ sum: event.a + event.b, left: context.getRemainingTimeInMillis() })"
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().lstrip("v").split(".")[0]
    create("in-node", zipped(index__js=code), f"nodejs{node or 22}.x", "index.handler")
    _, value = invoke(awslambda, "in-node", {"a": 2, "b": 3})
    assert value["sum"] == 5 and 0 < value["left"] <= 3000
    code = "def handler(event, context):\n    return {'sum': event['a'] + event['b'], 'id': context.aws_request_id}\n"
    version = subprocess.run(["python3", "--version"], capture_output=True, text=True).stdout.split()[1]
    create("in-python", zipped(main__py=code), "python" + ".".join(version.split(".")[:2]), "main.handler")
    answer, value = invoke(awslambda, "in-python", {"a": 2, "b": 3})
    assert value == {"sum": 5, "id": answer["ResponseMetadata"]["RequestId"]} or value["sum"] == 5


def test_the_example_with_a_path_parameter(platform):
    deployed = platform.run("deploy", str(ROOT / "examples" / "user-api"), "--route", "GET /users/{userId}").stdout
    url = deployed.split()[-1]
    answer = wait_for("the route", lambda: curl(url + "users/42") if curl(url + "users/42")[0] == "200" else None)
    assert json.loads(answer[1]) == {"userId": "42", "name": "Ada"}
    assert curl(url + "users/7")[0] == "404"


def test_instances_come_from_zero_and_go_again(platform, awslambda, create):
    create("sleepy", shell_runtime("sleep 0.3; echo '\"slept\"'"))
    instances = lambda: int(platform.run("status").stdout.split("instances")[1].split()[0])
    wait_for("idle instances to stop", lambda: instances() == 0)
    assert invoke(awslambda, "sleepy")[1] == "slept"
    assert instances() == 1
    wait_for("idle instances to stop", lambda: instances() == 0)


def test_a_handler_that_throws(awslambda, create):
    create("throws", zipped(main__py="def handler(event, context):\n    raise ValueError('no ' + event['what'])\n"),
           python_runtime(), "main.handler")
    answer, value = invoke(awslambda, "throws", {"what": "luck"})
    assert answer["FunctionError"] == "Unhandled" and answer["StatusCode"] == 200
    assert (value["errorType"], value["errorMessage"]) == ("ValueError", "no luck") and value["stackTrace"]


def python_runtime():
    version = subprocess.run(["python3", "--version"], capture_output=True, text=True).stdout.split()[1]
    return "python" + ".".join(version.split(".")[:2])


def test_a_handler_that_hangs_exits_or_eats_memory(awslambda, create):
    create("hangs", shell_runtime("sleep 60"), Timeout=1)
    answer, value = invoke(awslambda, "hangs")
    assert answer["FunctionError"] == "Unhandled" and "Task timed out after 1.00 seconds" in value["errorMessage"]
    create("exits", zipped(bootstrap="#!/bin/sh\nexit 3\n"))
    answer, value = invoke(awslambda, "exits")
    assert answer["FunctionError"] == "Unhandled" and value["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in value["errorMessage"]
    hungry = "def handler(event, context):\n    return len(bytearray(400 * 1024 * 1024))\n"
    create("hungry", zipped(main__py=hungry), python_runtime(), "main.handler")
    answer, value = invoke(awslambda, "hungry")
    assert answer["FunctionError"] == "Unhandled" and value["errorType"] == "Runtime.ExitError"
    assert "signal: killed" in value["errorMessage"]


def test_a_zip_without_a_bootstrap(awslambda, create):
    create("empty", zipped(readme__txt="no code"))
    answer, value = invoke(awslambda, "empty")
    assert answer["FunctionError"] == "Unhandled" and value["errorType"] == "Runtime.InvalidEntrypoint"


def test_reserved_concurrency_throttles(awslambda, create):
    create("reserved", rust_hello())
    awslambda.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=0)
    with pytest.raises(awslambda.exceptions.TooManyRequestsException) as refused:
        invoke(awslambda, "reserved")
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    awslambda.delete_function_concurrency(FunctionName="reserved")
    assert invoke(awslambda, "reserved")[0]["StatusCode"] == 200


def test_bad_requests_are_named(awslambda, create, platform):
    create("taken", rust_hello())
    with pytest.raises(awslambda.exceptions.ResourceConflictException):
        create("taken", rust_hello())
    for wrong in ({"MemorySize": 64}, {"Timeout": 0}, {"Runtime": "cobol85"}):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            awslambda.update_function_configuration(FunctionName="taken", **wrong)
        assert refused.value.response["Error"]["Code"] in ("ValidationException", "InvalidParameterValueException")
    with pytest.raises(awslambda.exceptions.InvalidParameterValueException):
        create("not-a-zip", b"plain text")
    with pytest.raises(awslambda.exceptions.InvalidRequestContentException):
        awslambda.invoke(FunctionName="taken", Payload=b"{not json")
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        invoke(awslambda, "nobody")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        awslambda.list_capacity_providers()
    assert refused.value.response["Error"]["Message"]


def test_wrong_signatures_are_refused(platform):
    stranger = platform.boto3("lambda", aws_secret_access_key="wrong" * 8)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        stranger.list_functions()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    unknown = platform.boto3("lambda", aws_access_key_id="AKIAAAAAAAAAAAAAAAAA")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        unknown.list_functions()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    bare = subprocess.run(
        ["curl", "-sS", "-w", "%{http_code}", f"{platform.environment['AWS_ENDPOINT_URL']}/2015-03-31/functions"],
        capture_output=True, text=True)
    assert bare.stdout.endswith("403") and "issing" in bare.stdout


def test_expired_dates_are_refused(platform):
    import datetime
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    environment = platform.environment
    url = f"{environment['AWS_ENDPOINT_URL']}/2015-03-31/functions"
    request = AWSRequest(method="GET", url=url)
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    signer = SigV4Auth(keys, "lambda", "us-east-1")
    old = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)).strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = old
    request.headers["X-Amz-Date"] = old
    request.headers["Authorization"] = ", ".join([
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{signer.scope(request)[len(keys.access_key) + 1:]}",
        "SignedHeaders=host;x-amz-date",
        "Signature=" + signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request),
    ])
    words = [word for name, value in request.headers.items() for word in ("-H", f"{name}: {value}")]
    answer = subprocess.run(["curl", "-sS", *words, url], capture_output=True, text=True).stdout
    assert "Signature expired" in answer
