"""How many invocations may run, how fast a function may grow, and what those hear that are too many."""

import concurrent.futures
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import botocore.exceptions
import pytest
from conftest import open_url, wait_for
from test_lambda import ROLE, python_runtime, zipped

CODE = """import os, time
def handler(event, context):
    print("ran", event.get("number"))
    time.sleep(event.get("seconds", 0))
    return {"pid": os.getpid(), "started": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]}
"""
GROWTH = 2


@pytest.fixture(scope="module")
def small(make_platform):
    return make_platform("--function-concurrency", "12", "--function-growth", str(GROWTH), "--prebooted", "0")


@pytest.fixture(scope="module")
def client(small):
    return small.boto3("lambda")


@pytest.fixture
def function(client, request):
    name = request.node.name.replace("_", "-")[:60]
    client.create_function(FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="main.handler", Timeout=30,
                           Code={"ZipFile": zipped(main__py=CODE)})
    yield name
    client.delete_function(FunctionName=name)


def call(client, name, **event):
    """The answer, or the refusal as the client reads it."""
    try:
        return json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read()), None
    except botocore.exceptions.ClientError as error:
        return None, error.response


def retry_after(refused):
    """The header, which the model names `retryAfterSeconds`."""
    header = refused["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    assert refused["retryAfterSeconds"] == header, refused
    return int(header)


def test_the_limit_of_the_account_is_shown(client):
    limit = client.get_account_settings()["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (12, 12)


def test_a_function_grows_as_fast_as_it_may(client, function):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: call(client, function, seconds=2), range(8)))
    elapsed = time.monotonic() - began
    refused = [refusal for _, refusal in answers if refusal]
    assert refused, answers
    for refusal in refused:
        assert refusal["Error"]["Code"] == "TooManyRequestsException"
        assert refusal["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 429
        # One more every five seconds.
        assert 1 <= retry_after(refusal) <= 10 / GROWTH
    instances = {answer["started"] for answer, _ in answers if answer}
    assert 1 <= len(instances) <= GROWTH + 1 + elapsed * GROWTH / 10
    time.sleep(max(retry_after(refusal) for refusal in refused))
    assert call(client, function)[0], "there is room again when it was said"


def test_events_are_all_run_however_slowly_a_function_grows(small, client, function):
    for number in range(6):
        client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"number": number, "seconds": 0.5}))
    logs = small.boto3("logs")

    def ran():
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern='"ran"')["events"]
        except logs.exceptions.ResourceNotFoundException:
            return False
        return {event["message"].strip() for event in found} == {f"ran {number}" for number in range(6)}

    wait_for("all events have run", ran, 60)


def test_requests_by_the_second_follow_concurrency(client, function):
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    call(client, function)
    reasons = {}

    def too_fast():
        # Two callers: one of them alone may be slower than ten a second on a busy machine.
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            for _, refusal in threads.map(lambda _: call(client, function), range(30)):
                if refusal:
                    reasons[refusal["Reason"]] = refusal
        return "ReservedFunctionInvocationRateLimitExceeded" in reasons

    wait_for("calls are refused for their rate", too_fast, 60)
    assert retry_after(reasons["ReservedFunctionInvocationRateLimitExceeded"]) == 1
    assert set(reasons) <= {"ReservedFunctionInvocationRateLimitExceeded", "ReservedFunctionConcurrentInvocationLimitExceeded"}


def test_a_function_url_says_when_to_come_again(small, client, function):
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    open_url(client, function)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    refusal = call(client, function)[1]
    assert (refusal["Reason"], retry_after(refusal)) == ("ReservedFunctionConcurrentInvocationLimitExceeded", 60)
    request = urllib.request.Request(small.gateway, headers={"Host": urllib.parse.urlparse(url).netloc})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (429, "60")


def test_rules_that_make_no_sense_are_refused(small):
    for arguments in (["--function-growth", "0"], ["--function-growth", "aws"], ["--function-concurrency", "0"]):
        done = small.run("up", *arguments, check=False)
        assert done.returncode == 2 and arguments[0] in done.stderr, done.stderr
