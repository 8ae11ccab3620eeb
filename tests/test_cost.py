"""Metering, prices and `dory cost`, `dory top`, `kubectl top`."""

import json
import os
import signal

import pytest
from conftest import deployment, wait_for
from test_lambda import ROLE, python_runtime, zipped

CODE = "def handler(event, context):\n    return 1\n"


@pytest.fixture
def awslambda(platform):
    return platform.boto3("lambda")


def cost(platform, *more):
    return json.loads(platform.run("cost", "-o", "json", *more).stdout)


def function_bill(platform, name, *more):
    return next((one for one in cost(platform, *more)["functions"] if one["function"] == name), None)


def test_functions_are_billed_as_reported(platform, awslambda):
    awslambda.create_function(FunctionName="billed", Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
                              MemorySize=512, Code={"ZipFile": zipped(main__py=CODE)})
    import base64
    import re

    billed = 0
    for _ in range(3):
        answer = awslambda.invoke(FunctionName="billed", Payload="{}", LogType="Tail")
        log = base64.b64decode(answer["LogResult"]).decode()
        billed += int(re.search(r"Billed Duration: (\d+) ms", log).group(1))
    bill = function_bill(platform, "billed")
    assert bill["invocations"] == 3
    assert bill["gbSeconds"] == pytest.approx(billed / 1000 * 0.5)
    prices = cost(platform)["prices"]
    assert (prices["functionMillionRequests"], prices["functionGbSecond"]) == (0.2, 0.0000166667)
    assert bill["cost"] == pytest.approx(3 / 1e6 * 0.2 + bill["gbSeconds"] * 0.0000166667)
    assert bill["alwaysOnPerMonth"] > bill["costPerMonth"] > 0
    table = platform.run("cost").stdout
    assert "billed" in table and "AWS list prices, us-east-1" in table
    awslambda.delete_function(FunctionName="billed")
    gone = wait_for("the bill of a deleted function", lambda: (b := function_bill(platform, "billed"))["deleted"] and b)
    assert gone["invocations"] == 3 and gone["cost"] == bill["cost"], "what was used stays on the bill"
    assert gone["costPerMonth"] == gone["alwaysOnPerMonth"] == 0
    row = next(line for line in platform.run("cost").stdout.splitlines() if line.startswith("billed "))
    assert row.split()[-3:] == ["-", "-", "-"]


def test_a_price_list_of_ones_own(platform, tmp_path):
    (tmp_path / "prices.json").write_text(json.dumps({"nodeHour": 0.1, "source": "the landlord"}))
    shown = platform.run("cost", "--prices", str(tmp_path / "prices.json")).stdout
    assert "a node costs $72.00 a month" in shown and "prices: the landlord" in shown
    (tmp_path / "wrong.json").write_text('{"nodeHours": 0.1}')
    wrong = platform.run("cost", "--prices", str(tmp_path / "wrong.json"), check=False)
    assert wrong.returncode != 0 and "unknown field `nodeHours`" in wrong.stderr


def test_pods_are_metered_by_what_they_hold(platform, namespace):
    resources = {"requests": {"cpu": "50m", "memory": "32Mi"}}
    platform.apply(deployment("held", replicas=2, resources=resources), "-n", namespace)
    find = lambda: next((one for one in cost(platform)["pods"] if one["namespace"] == namespace), {})
    bill = wait_for("two pods on the bill", lambda: find() if find().get("running") == 2 else None)
    assert bill["owner"] == "Deployment/held"
    vcpu, gb = 0.1, 64 / 1024
    assert bill["costPerMonth"] == pytest.approx(720 * (vcpu * 0.04048 + gb * 0.004445))
    assert 0 < bill["breakEven"] <= 1
    before = bill["podHours"]
    wait_for("the meter to run", lambda: find()["podHours"] > before)
    platform.kubectl("delete", "deployment", "held", "-n", namespace)
    wait_for("the pods to go off the bill", lambda: find()["running"] == 0)
    assert find()["cost"] > 0


def test_what_was_metered_survives_a_kill(make_platform):
    own = make_platform()
    client = own.boto3("lambda")
    client.create_function(FunctionName="kept", Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
                           Code={"ZipFile": zipped(main__py=CODE)})
    for _ in range(2):
        client.invoke(FunctionName="kept", Payload="{}")
    ledger = own.data / "functions" / "meter" / "ledger.json"
    wait_for("the ledger on the disk", lambda: ledger.exists() and '"invocations":2' in ledger.read_text())
    before = function_bill(own, "kept")
    pid = own.pid
    os.kill(pid, signal.SIGKILL)
    wait_for("the process to be gone", lambda: not os.path.exists(f"/proc/{pid}"))
    own.up()
    after = function_bill(own, "kept")
    assert (after["invocations"], after["gbSeconds"]) == (2, before["gbSeconds"])
    client = own.boto3("lambda")
    client.invoke(FunctionName="kept", Payload="{}")
    assert function_bill(own, "kept")["invocations"] == 3


def test_top_shows_what_is_used_now(platform, awslambda, namespace):
    platform.apply(deployment("seen", replicas=1), "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/seen", "-n", namespace)
    awslambda.create_function(FunctionName="busy-now", Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
                              Code={"ZipFile": zipped(main__py=CODE)})
    awslambda.invoke(FunctionName="busy-now", Payload="{}")
    top = lambda: json.loads(platform.run("top", "-o", "json").stdout)
    # The kernel counts in hundredths of a second: a quiet machine may have used none between two looks.
    wait_for("the node to use its processor", lambda: top()["nodes"][0]["cpuMilli"] > 0)
    shown = top()
    assert shown["nodes"][0]["memoryBytes"] > 1e6
    assert [one["memoryBytes"] > 0 for one in shown["pods"] if one["namespace"] == namespace] == [True]
    assert [one["name"] for one in shown["functions"]].count("busy-now") == 1
    text = platform.run("top").stdout
    assert "NODE" in text and f"{namespace}/seen-" in text and "busy-now" in text
    awslambda.delete_function(FunctionName="busy-now")


def test_kubectl_top(platform, namespace):
    platform.apply(deployment("measured", replicas=1), "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/measured", "-n", namespace)
    pods = platform.kubectl("top", "pods", "-n", namespace, "-l", "app=measured", "--containers").stdout
    assert "measured-" in pods and " api " in pods
    assert "No resources found" in platform.kubectl("top", "pods", "-n", namespace, "-l", "app=other").stderr
    nodes = platform.kubectl("top", "nodes").stdout.splitlines()
    assert nodes[0].split()[:2] == ["NAME", "CPU(cores)"] and "%" in nodes[1]
    name = platform.get("pods", "-n", namespace)["items"][0]["metadata"]["name"]
    one = json.loads(platform.kubectl("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}").stdout)
    assert one["kind"] == "PodMetrics" and one["containers"][0]["usage"]["memory"].endswith("Ki")
    missing = platform.kubectl("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/nobody", check=False)
    assert "NotFound" in missing.stderr
