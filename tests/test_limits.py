"""Priority and preemption, limits on disk, and the forms that subresources take: with the real kubectl."""

import json

from conftest import pod, shell, wait_for


def phase(platform, namespace, name):
    return platform.get("pod", name, "-n", namespace)["status"].get("phase")


def evicted(platform, namespace, name):
    """The pod's message once it has failed as evicted."""
    status = platform.get("pod", name, "-n", namespace)["status"]
    return status.get("phase") == "Failed" and status.get("reason") == "Evicted" and status["message"]


def test_an_empty_dir_over_its_limit_evicts_the_pod(platform, namespace):
    writer = shell("writer", "dd if=/dev/zero of=/data/file bs=1M count=8; sleep 1000")
    writer["spec"]["volumes"] = [{"name": "data", "emptyDir": {"sizeLimit": "4Mi"}}]
    writer["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    platform.apply(writer, "-n", namespace)
    message = wait_for("the pod is evicted", lambda: evicted(platform, namespace, "writer"))
    assert message == 'Usage of EmptyDir volume "data" exceeds the limit "4Mi". '
    events = lambda: platform.get("events", "-n", namespace, "--field-selector", "reason=Evicted")["items"]
    assert "exceeds the limit" in wait_for("the eviction is told of", events)[0]["message"]
    assert "Evicted" in platform.kubectl("describe", "pod", "writer", "-n", namespace).stdout


def test_ephemeral_storage_is_limited_and_accounted(platform, namespace):
    limits = {"limits": {"ephemeral-storage": "2Mi"}}
    platform.apply(shell("writer", "dd if=/dev/zero of=/file bs=1M count=6; sleep 1000", resources=limits), "-n", namespace)
    message = wait_for("the pod is evicted", lambda: evicted(platform, namespace, "writer"))
    assert message == "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
    # A request that no node can meet is not placed.
    platform.apply(pod("huge", resources={"requests": {"ephemeral-storage": "1000Ti"}}), "-n", namespace)

    def refused():
        conditions = platform.get("pod", "huge", "-n", namespace)["status"].get("conditions", [])
        return next((c["message"] for c in conditions if c["type"] == "PodScheduled"), None)

    assert "Insufficient ephemeral-storage" in wait_for("the scheduler says why", refused)


def test_priority_classes(platform, namespace):
    shown = platform.kubectl("get", "priorityclasses").stdout
    assert "system-cluster-critical" in shown and "2000001000" in shown
    name = "leaves"
    platform.kubectl("create", "priorityclass", name, "--value=7", "--description=low")
    try:
        low = pod("low")
        low["spec"]["priorityClassName"] = name
        platform.apply(low, "-n", namespace)
        assert platform.get("pod", "low", "-n", namespace)["spec"]["priority"] == 7
        wrong = pod("wrong")
        wrong["spec"].update(priorityClassName=name, priority=8)
        refusal = platform.apply(wrong, "-n", namespace, check=False).stderr
        assert "the integer value of priority (8) must not be provided in pod spec" in refusal
        refusal = platform.kubectl(
            "patch", "priorityclass", name, "--type=merge", "-p", '{"value": 9}', check=False).stderr
        assert "may not be changed in an update" in refusal
    finally:
        platform.kubectl("delete", "priorityclass", name)
    unknown = pod("unknown")
    unknown["spec"]["priorityClassName"] = "nobody"
    assert "no PriorityClass with name nobody was found" in platform.apply(
        unknown, "-n", namespace, check=False).stderr
    refusal = platform.kubectl("create", "priorityclass", "system-mine", "--value=1", check=False).stderr
    assert "reserved for system use only" in refusal


def test_an_important_pod_pushes_others_out(platform, namespace):
    node = platform.get("nodes")["items"][0]["status"]["allocatable"]
    memory = int(node["memory"].removesuffix("Ki"))
    asks = lambda share: {"requests": {"memory": f"{int(memory * share)}Ki"}}
    platform.kubectl("create", "priorityclass", "pushy", "--value=1000")
    platform.kubectl("create", "priorityclass", "polite", "--value=1000", "--preemption-policy=Never")
    try:
        platform.apply(pod("small", resources=asks(0.1)), "-n", namespace)
        platform.apply(pod("victim", resources=asks(0.6)), "-n", namespace)
        for name in ("small", "victim"):
            platform.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace)
        polite = pod("polite", resources=asks(0.5))
        polite["spec"]["priorityClassName"] = "polite"
        platform.apply(polite, "-n", namespace)

        def scheduled(name):
            conditions = platform.get("pod", name, "-n", namespace)["status"].get("conditions", [])
            return next((c for c in conditions if c["type"] == "PodScheduled"), None)

        said = wait_for("the polite pod is refused", lambda: scheduled("polite"))["message"]
        assert "not eligible due to preemptionPolicy=Never" in said
        platform.kubectl("delete", "pod", "polite", "-n", namespace)
        pushy = pod("pushy", resources=asks(0.5))
        pushy["spec"]["priorityClassName"] = "pushy"
        platform.apply(pushy, "-n", namespace)
        platform.kubectl("wait", "--for=condition=Ready", "pod/pushy", "-n", namespace, "--timeout=120s")
        names = [item["metadata"]["name"] for item in platform.get("pods", "-n", namespace)["items"]]
        assert sorted(names) == ["pushy", "small"], "only the one that had to go went"
        events = lambda: platform.get("events", "-n", namespace, "--field-selector", "reason=Preempted")["items"]
        assert wait_for("the preemption is told of", events)[0]["involvedObject"]["name"] == "victim"
    finally:
        platform.kubectl("delete", "priorityclass", "pushy", "polite")


def post(platform, path, body, method="POST"):
    """Sends a body as it is; gives the code, the Status and the warnings."""
    connection = platform.connections()()
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.load(answer), answer.headers.get_all("Warning") or []


def test_forms_are_read_strictly(platform, namespace):
    platform.kubectl("create", "deployment", "web", "--image=my-registry/api-service:1.0.0", "--replicas=0", "-n", namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale"
    scale = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web", "namespace": namespace}}
    code, status, _ = post(platform, path + "?fieldValidation=Strict", {**scale, "spec": {"replicsa": 1}}, "PUT")
    assert code == 400 and 'unknown field "spec.replicsa"' in status["message"]
    code, _, warnings = post(platform, path, {**scale, "spec": {"replicas": 0, "replicsa": 1}}, "PUT")
    assert code == 200 and 'unknown field' in warnings[0]
    code, status, _ = post(platform, path, {**scale, "spec": {"replicas": "one"}}, "PUT")
    assert code == 400 and "replicas" in status["message"]
    pods = f"/api/v1/namespaces/{namespace}/pods/ghost"
    binding = {"kind": "Binding", "apiVersion": "v1", "target": {"name": "n", "nmae": "x"}}
    code, status, _ = post(platform, pods + "/binding?fieldValidation=Strict", binding)
    assert code == 400 and 'unknown field "target.nmae"' in status["message"]
    eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "deleteOptions": {"graceful": True}}
    code, status, _ = post(platform, pods + "/eviction?fieldValidation=Strict", eviction)
    assert code == 400 and 'unknown field "deleteOptions.graceful"' in status["message"]
