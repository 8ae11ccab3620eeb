"""Evictions and the budgets that they ask, with the real kubectl."""

import json
import re

from conftest import deployment, wait_for
from test_jobs import kubectl


def budget(name, **spec):
    """A budget for the pods of the Deployment of that name."""
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
    }


def evict(platform, namespace, pod, **more):
    """Posts an eviction of a pod; the finished kubectl."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}, **more}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    return platform.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(body), check=False)


def pods(platform, namespace):
    """The names of the pods that are not being deleted."""
    items = platform.get("pods", "-n", namespace)["items"]
    return [one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]]


def allowed(platform, namespace, name="web"):
    return platform.get("pdb", name, "-n", namespace).get("status", {}).get("disruptionsAllowed")


def ready(platform, namespace):
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")


def test_a_budget_counts_and_is_listed(platform, namespace):
    platform.apply(deployment("web", replicas=3), "-n", namespace)
    ready(platform, namespace)
    platform.apply(budget("web", maxUnavailable="50%"), "-n", namespace)
    wait_for("two may go", lambda: allowed(platform, namespace) == 2)
    run = kubectl(platform, namespace)
    shown = run("get", "pdb").stdout.splitlines()
    assert re.match(r"NAME +MIN AVAILABLE +MAX UNAVAILABLE +ALLOWED DISRUPTIONS +AGE", shown[0])
    assert re.match(r"web +N/A +50% +2 ", shown[1])
    status = platform.get("pdb", "web", "-n", namespace)["status"]
    assert (status["currentHealthy"], status["desiredHealthy"], status["expectedPods"]) == (3, 1, 3)
    assert status["conditions"][0]["reason"] == "SufficientPods"
    assert "Allowed disruptions:" in run("describe", "pdb", "web").stdout


def test_an_eviction_asks_the_budget(platform, namespace):
    platform.apply(deployment("web", replicas=2), "-n", namespace)
    ready(platform, namespace)
    made = kubectl(platform, namespace)("create", "pdb", "web", "--selector=app=web", "--min-available=2")
    assert "poddisruptionbudget.policy/web created" in made.stdout
    healthy = lambda: platform.get("pdb", "web", "-n", namespace).get("status", {}).get("currentHealthy")
    wait_for("two are healthy", lambda: healthy() == 2)
    first = pods(platform, namespace)[0]
    refused = evict(platform, namespace, first)
    assert refused.returncode != 0
    assert "Cannot evict pod as it would violate the pod's disruption budget" in refused.stderr
    assert first in pods(platform, namespace)
    platform.kubectl("patch", "pdb", "web", "-n", namespace, "--type=merge", "-p", '{"spec":{"minAvailable":1}}')
    wait_for("one may go", lambda: allowed(platform, namespace) == 1)
    dry = evict(platform, namespace, first, deleteOptions={"dryRun": ["All"]})
    assert dry.returncode == 0 and first in pods(platform, namespace)
    assert evict(platform, namespace, first).returncode == 0
    wait_for("another in its place", lambda: len(pods(platform, namespace)) == 2 and first not in pods(platform, namespace))
    platform.apply(budget("second", minAvailable=0) | {"spec": budget("web", minAvailable=0)["spec"]}, "-n", namespace)
    several = evict(platform, namespace, pods(platform, namespace)[0])
    assert "This pod has more than one PodDisruptionBudget" in several.stderr


def test_drain_waits_for_the_budget(platform, namespace):
    platform.apply(deployment("web", replicas=2), "-n", namespace)
    ready(platform, namespace)
    platform.apply(budget("web", maxUnavailable=0), "-n", namespace)
    wait_for("none may go", lambda: allowed(platform, namespace) == 0)
    node = platform.get("nodes")["items"][0]["metadata"]["name"]
    drain = lambda *words: platform.kubectl(
        "drain", node, "--pod-selector=app=web", "--force", "--ignore-daemonsets", "--delete-emptydir-data", *words,
        check=False)
    try:
        refused = drain("--timeout=3s")
        assert refused.returncode != 0 and "disruption budget" in refused.stderr
        assert len(pods(platform, namespace)) == 2
        patch = '{"spec":{"maxUnavailable":2}}'
        platform.kubectl("patch", "pdb", "web", "-n", namespace, "--type=merge", "-p", patch)
        wait_for("both may go", lambda: allowed(platform, namespace) == 2)
        drained = drain("--timeout=120s")
        assert drained.returncode == 0 and drained.stdout.count("evicted") == 2, drained.stderr
    finally:
        platform.kubectl("uncordon", node)


def test_what_is_refused(platform, namespace):
    refused = lambda manifest: platform.apply(manifest, "-n", namespace, check=False).stderr
    both = refused(budget("bad", minAvailable=1, maxUnavailable=1))
    assert "minAvailable and maxUnavailable cannot be both set" in both
    assert "spec.maxUnavailable: Invalid value" in refused(budget("bad", maxUnavailable="half"))
    assert "spec.unhealthyPodEvictionPolicy: Unsupported value" in refused(
        budget("bad", minAvailable=1, unhealthyPodEvictionPolicy="Never"))
