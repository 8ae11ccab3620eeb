"""A short storm: everything is called, changed and killed at once, and nothing is lost, wrong or left behind. `make chaos`
runs a long one."""

import json
import os
import pathlib
import signal
import threading

from chaos import functions, run
from conftest import wait_for

SECONDS = 30


def test_the_platform_comes_through_a_storm():
    storm = run.storm(SECONDS)
    assert storm.faults == []
    done = {what.split(":")[0] for what in storm.counts}
    assert {"sync", "async", "stream", "url", "churn", "flip", "pods"} <= done, storm.counts
    assert storm.counts["sync: answered"] > 20 and storm.counts["kills of a runtime"] > 5, storm.counts


def name_of(process):
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return None


def test_a_runtime_that_is_killed_in_the_middle_of_a_call(platform):
    client = platform.boto3("lambda")
    # The name of the process is how it is found from outside, and not that of another run of this test.
    victim = f"victim-{os.getpid()}"
    code = ("import os, time\ndef handler(event, context):\n    open('/proc/self/comm', 'w').write(event.get('name', 'idle'))\n"
            "    time.sleep(event.get('sleep', 0))\n    return os.environ['AWS_LAMBDA_LOG_STREAM_NAME']\n")
    client.create_function(FunctionName="killed", Runtime=functions.python(), Role=functions.ROLE, Handler="main.handler",
                           Timeout=60, Code={"ZipFile": functions.zipped("main.py", code)})
    try:
        first = json.loads(client.invoke(FunctionName="killed")["Payload"].read())
        answers = []
        call = threading.Thread(target=lambda: answers.append(client.invoke(
            FunctionName="killed", Payload=json.dumps({"sleep": 50, "name": victim}))))
        call.start()
        named = lambda: [path for path in pathlib.Path("/proc").glob("[0-9]*") if name_of(path) == victim]
        os.kill(int(wait_for("the runtime to be at work", named)[0].name), signal.SIGKILL)
        call.join(30)
        answer = answers[0]
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        value = json.loads(answer["Payload"].read())
        assert value["errorType"] == "Runtime.ExitError" and value["errorMessage"].endswith("Runtime exited with error: signal: killed")
        again = json.loads(client.invoke(FunctionName="killed")["Payload"].read())
        assert again != first, "a fresh instance"
    finally:
        client.delete_function(FunctionName="killed")
