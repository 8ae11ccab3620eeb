"""The real `sam`: what it does without a stack."""

import json
import os
import subprocess

import pytest
from conftest import ROOT, spoken, wait_for
from test_lambda import ROLE, python_runtime, zipped

SAM = ROOT / "target" / "lambda-clients" / "sam" / "bin" / "sam"

PRINTS = """
def handler(event, context):
    print("given", event["line"])
    return {"arn": context.invoked_function_arn}
"""


@pytest.fixture(scope="module")
def sam(platform):
    if not SAM.exists():
        pytest.skip("needs aws-sam-cli: target/lambda-clients/sam.log says why there is none")
    environment = {**platform.environment, "AWS_DEFAULT_REGION": platform.environment["AWS_REGION"],
                   "SAM_CLI_TELEMETRY": "0", "PYTHONUNBUFFERED": "1", "HOME": os.environ.get("HOME", "/root")}
    return lambda *arguments: subprocess.Popen(
        [SAM, *arguments], text=True, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def function(platform):
    """Calls a function that prints what it is told; its ARN."""
    awslambda = platform.boto3("lambda")
    made = awslambda.create_function(
        FunctionName="sam-prints", Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
        Code={"ZipFile": zipped(main__py=PRINTS)})

    def call(line):
        answer = awslambda.invoke(FunctionName="sam-prints", Payload=json.dumps({"line": line}))
        assert "FunctionError" not in answer

    call.arn = made["FunctionArn"]
    yield call
    awslambda.delete_function(FunctionName="sam-prints")


def ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_logs(sam, function):
    function("one")
    function("two")
    group = ["logs", "--cw-log-group", "/aws/lambda/sam-prints"]
    code, out, err = ended(sam(*group))
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split(" ", 2)[2] for line in lines if "given" in line] == ["given one", "given two"]
    assert sum(" REPORT RequestId: " in line for line in lines) == 2
    code, out, err = ended(sam(*group, "--filter", "two", "--start-time", "10 minutes ago"))
    assert (code, out.count("given")) == (0, 1), err
    _, _, err = ended(sam("logs", "--cw-log-group", "/aws/lambda/nobody"))
    assert "does not exist" in err


def test_logs_tail(sam, function):
    function("from before")
    tail = sam("logs", "--cw-log-group", "/aws/lambda/sam-prints", "--tail")
    lines = spoken(tail)
    try:
        wait_for("the past", lambda: any("from before" in line for line in lines))
        function("while it follows")
        wait_for("the line to come by", lambda: any("while it follows" in line for line in lines))
    finally:
        tail.terminate()
        tail.wait()


def test_remote_invoke(sam, function):
    code, out, err = ended(sam("remote", "invoke", function.arn, "--event", '{"line": "from sam"}'))
    assert code == 0, err
    assert json.loads(out) == {"arn": function.arn}
    assert "given from sam" in err and "REPORT RequestId: " in err
    code, _, err = ended(sam("remote", "invoke", function.arn, "--event", "{}"))
    assert "KeyError" in err
    code, _, err = ended(sam("remote", "invoke", f"{function.arn}-not", "--event", "{}"))
    assert code != 0 and "Function not found" in err
