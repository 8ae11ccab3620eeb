"""A short storm: everything is called, changed and killed at once, and nothing is lost, wrong or left behind. `make chaos`
runs a long one."""

import json
import os
import signal
import threading
import time

import pytest
from chaos import functions, run
from conftest import wait_for

SECONDS = 30


def test_the_platform_comes_through_a_storm():
    storm = run.storm(SECONDS)
    assert storm.faults == []
    done = {what.split(":")[0] for what in storm.counts}
    assert {"sync", "async", "stream", "url", "churn", "flip", "pods"} <= done, storm.counts
    assert storm.counts["sync: answered"] > 20 and storm.counts["kills of a runtime"] > 5, storm.counts


def test_a_runtime_that_is_killed_in_the_middle_of_a_call(platform):
    client = platform.boto3("lambda")
    code = "import os, time\ndef handler(event, context):\n    print('at work')\n    time.sleep(event.get('sleep', 0))\n    return os.environ['AWS_LAMBDA_LOG_STREAM_NAME']\n"
    client.create_function(FunctionName="killed", Runtime=functions.python(), Role=functions.ROLE, Handler="main.handler",
                           Timeout=60, Code={"ZipFile": functions.zipped("main.py", code)})
    try:
        first = json.loads(client.invoke(FunctionName="killed")["Payload"].read())
        answers = []
        call = threading.Thread(target=lambda: answers.append(client.invoke(
            FunctionName="killed", Payload=json.dumps({"sleep": 50}), LogType="Tail")))
        call.start()
        from chaos.traces import processes
        instance = first.rsplit("]", 1)[1]
        at_work = lambda: client.get_waiter and [pid for pid, command, groups in processes() if instance in groups]
        victims = wait_for("the runtime", at_work)
        time.sleep(0.5)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        call.join(30)
        answer = answers[0]
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        value = json.loads(answer["Payload"].read())
        assert value["errorType"] == "Runtime.ExitError" and value["errorMessage"].endswith("Runtime exited with error: signal: killed")
        again = json.loads(client.invoke(FunctionName="killed")["Payload"].read())
        assert again != first, "a fresh instance"
    finally:
        client.delete_function(FunctionName="killed")
