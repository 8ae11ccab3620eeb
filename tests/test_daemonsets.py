"""DaemonSets with the real kubectl, on the one node that there is."""

import json

from conftest import wait_for

IMAGE = "my-registry/api-service"


def daemonset(name, tag="1.0.0", **spec):
    container = {"name": "agent", "image": f"{IMAGE}:{tag}"}
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}}, **spec,
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def images(platform, namespace):
    """The images of the pods that are not going."""
    pods = platform.get("pods", "-n", namespace)["items"]
    return [pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def test_rollout_status_history_undo_and_restart(platform, namespace):
    run = lambda *words: platform.kubectl(*words, "-n", namespace).stdout
    nodes = len(platform.get("nodes")["items"])
    platform.apply(daemonset("agent"), "-n", namespace)
    assert "successfully rolled out" in run("rollout", "status", "daemonset/agent", "--timeout=120s")
    assert images(platform, namespace) == [f"{IMAGE}:1.0.0"] * nodes
    lines = run("get", "daemonset", "-o", "wide").splitlines()
    assert lines[0].split()[:9] == ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE", "SELECTOR", "AGE"]
    assert lines[1].split()[:7] == ["agent", *[str(nodes)] * 5, "<none>"] and "app=agent" in lines[1]
    run("set", "image", "daemonset/agent", f"agent={IMAGE}:1.0.1")
    run("rollout", "status", "daemonset/agent", "--timeout=120s")
    assert images(platform, namespace) == [f"{IMAGE}:1.0.1"] * nodes
    history = run("rollout", "history", "daemonset/agent")
    assert [line.split()[0] for line in history.splitlines()[2:] if line.strip()] == ["1", "2"]
    assert "1.0.0" in run("rollout", "history", "daemonset/agent", "--revision=1")
    run("rollout", "undo", "daemonset/agent")
    run("rollout", "status", "daemonset/agent", "--timeout=120s")
    assert images(platform, namespace) == [f"{IMAGE}:1.0.0"] * nodes
    before = {pod["metadata"]["uid"] for pod in platform.get("pods", "-n", namespace)["items"]}
    run("rollout", "restart", "daemonset/agent")
    run("rollout", "status", "daemonset/agent", "--timeout=120s")
    after = lambda: {pod["metadata"]["uid"] for pod in platform.get("pods", "-n", namespace)["items"]}
    wait_for("the old pods to be gone", lambda: not before & after())
    described = run("describe", "daemonset", "agent")
    assert "SuccessfulCreate" in described and f"Desired Number of Nodes Scheduled: {nodes}" in described
    owners = run("get", "controllerrevisions")
    assert "daemonset.apps/agent" in owners
    run("delete", "daemonset", "agent", "--timeout=120s")
    wait_for("everything to be gone", lambda: "No resources" in platform.kubectl(
        "get", "pods,controllerrevisions", "-n", namespace).stderr)


def test_a_new_pod_comes_before_the_old_one_goes(platform, namespace):
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    platform.apply(daemonset("agent", updateStrategy=surge), "-n", namespace)
    status = lambda: platform.kubectl("rollout", "status", "daemonset/agent", "-n", namespace, "--timeout=120s")
    status()
    platform.kubectl("set", "image", "daemonset/agent", f"agent={IMAGE}:1.0.1", "-n", namespace)
    # Never without a pod that is ready.
    ready = lambda: platform.get("daemonset", "agent", "-n", namespace)["status"]["numberReady"]
    done = lambda: images(platform, namespace) == [f"{IMAGE}:1.0.1"] * max(ready(), 1)
    wait_for("the new pod alone", lambda: ready() >= 1 and done())
    status()
    # A broken image stops it, and the old pod stays.
    platform.kubectl("set", "image", "daemonset/agent", "agent=nowhere/nothing:1", "-n", namespace)
    wait_for("both", lambda: sorted(images(platform, namespace)) == [f"{IMAGE}:1.0.1", "nowhere/nothing:1"])
    assert ready() == 1


def test_on_delete_waits_for_somebody_to_delete(platform, namespace):
    platform.apply(daemonset("agent", updateStrategy={"type": "OnDelete"}), "-n", namespace)
    available = lambda: platform.get("daemonset", "agent", "-n", namespace).get("status", {}).get("numberAvailable", 0)
    wait_for("a pod", lambda: available() == 1)
    platform.apply(daemonset("agent", "1.0.1", updateStrategy={"type": "OnDelete"}), "-n", namespace)
    observed = lambda: platform.get("daemonset", "agent", "-n", namespace)["status"]["observedGeneration"]
    wait_for("the change to be seen", lambda: observed() == 2)
    assert images(platform, namespace) == [f"{IMAGE}:1.0.0"]
    platform.kubectl("delete", "pod", "-l", "app=agent", "-n", namespace, "--timeout=120s")
    wait_for("the new image", lambda: images(platform, namespace) == [f"{IMAGE}:1.0.1"])


def test_it_runs_where_nothing_else_does_and_not_where_it_is_not_wanted(platform, namespace):
    node = platform.get("nodes")["items"][0]["metadata"]["name"]
    platform.kubectl("cordon", node)
    try:
        platform.apply(daemonset("agent"), "-n", namespace)
        platform.kubectl("rollout", "status", "daemonset/agent", "-n", namespace, "--timeout=120s")
    finally:
        platform.kubectl("uncordon", node)
    elsewhere = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}
    patch = lambda body: platform.kubectl("patch", "daemonset", "agent", "-n", namespace, "-p", json.dumps(body))
    patch(elsewhere)
    wait_for("no pod", lambda: images(platform, namespace) == [])
    platform.kubectl("label", "node", node, "disk=ssd")
    try:
        wait_for("a pod", lambda: images(platform, namespace) == [f"{IMAGE}:1.0.0"])
    finally:
        platform.kubectl("label", "node", node, "disk-")
    wait_for("no pod again", lambda: images(platform, namespace) == [])
    assert "disk=ssd" in platform.kubectl("get", "daemonset", "agent", "-n", namespace).stdout


def test_deploy_waits_for_it(platform, namespace, tmp_path):
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(daemonset("agent")))
    said = platform.run("deploy", file, "-n", namespace).stdout
    assert "daemonset.apps/agent created" in said and "daemonset.apps/agent ready: 1 of 1 in" in said


def test_what_is_wrong_is_named(platform):
    both = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}
    for spec, said in (
        ({"updateStrategy": {"type": "Sometimes"}}, "spec.updateStrategy.type: Unsupported value"),
        ({"updateStrategy": both}, "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when"),
        ({"minReadySeconds": -1}, "spec.minReadySeconds: Invalid value: -1"),
        ({"replicas": 1}, 'unknown field "spec.replicas"'),
    ):
        refused = platform.apply(daemonset("wrong", **spec), check=False)
        assert refused.returncode != 0 and said in refused.stderr, refused.stderr
