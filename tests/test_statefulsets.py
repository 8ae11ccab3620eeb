"""StatefulSets with the real kubectl: pods with numbers, which keep their names."""

import json

from conftest import TOOLS, shell, wait_for

IMAGE = "my-registry/api-service"


def statefulset(name, tag="1.0.0", replicas=3, **spec):
    container = {"name": "web", "image": f"{IMAGE}:{tag}"}
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "serviceName": "nginx", "selector": {"matchLabels": {"app": name}}, **spec,
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def pods(platform, namespace, name="web"):
    """Tag of each pod that is not going, by its name, in the order of creation."""
    found = platform.get("pods", "-n", namespace, "-l", f"app={name}", "--sort-by=.metadata.creationTimestamp")["items"]
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"].split(":")[1]
        for pod in found if "deletionTimestamp" not in pod["metadata"]
    }


def ready(platform, namespace, name="web"):
    return platform.get("statefulset", name, "-n", namespace).get("status", {}).get("readyReplicas", 0)


def test_names_order_scale_and_names_in_dns(platform, namespace):
    run = lambda *words: platform.kubectl(*words, "-n", namespace).stdout
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nginx"},
               "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 8080}]}}
    platform.apply(service, "-n", namespace)
    platform.apply(statefulset("web"), "-n", namespace)
    assert "3 new pods" in run("rollout", "status", "statefulset/web", "--timeout=120s")
    assert sorted(pods(platform, namespace)) == ["web-0", "web-1", "web-2"]
    found = platform.get("pods", "-n", namespace, "-l", "app=web")["items"]
    times = {pod["metadata"]["name"]: pod["metadata"]["creationTimestamp"] for pod in found}
    assert times["web-0"] <= times["web-1"] <= times["web-2"]
    labels = platform.get("pod", "web-1", "-n", namespace)["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "web-1" and labels["apps.kubernetes.io/pod-index"] == "1"
    assert labels["controller-revision-hash"].startswith("web-")
    platform.apply(shell("asker", "sleep 600"), "-n", namespace)
    run("wait", "--for=condition=Ready", "pod/asker", "--timeout=120s")
    address = platform.get("pod", "web-0", "-n", namespace)["status"]["podIP"]
    name = f"web-0.nginx.{namespace}.svc.cluster.local"
    ask = lambda: platform.kubectl("exec", "-n", namespace, "asker", "--", "nslookup", name, check=False).stdout
    wait_for("the name", lambda: address in ask())
    asked = ("exec", "-n", namespace, "asker", "--", "wget", "-qO-", f"http://web-0.nginx.{namespace}:8080/")
    assert "web-0" in platform.kubectl(*asked).stdout
    lines = run("get", "statefulset", "-o", "wide").splitlines()
    assert lines[0].split() == ["NAME", "READY", "AGE", "CONTAINERS", "IMAGES"] and lines[1].split()[:2] == ["web", "3/3"]
    run("scale", "statefulset/web", "--replicas=1")
    wait_for("one", lambda: list(pods(platform, namespace)) == ["web-0"])
    run("scale", "statefulset/web", "--replicas=2")
    wait_for("two", lambda: ready(platform, namespace) == 2)
    # A pod that is deleted comes back under its name.
    uid = platform.get("pod", "web-0", "-n", namespace)["metadata"]["uid"]
    run("delete", "pod", "web-0", "--timeout=120s")
    again = lambda: platform.kubectl("get", "pod", "web-0", "-n", namespace, "-o", "jsonpath={.metadata.uid}", check=False).stdout
    wait_for("another", lambda: again() not in ("", uid))


def test_rollout_history_undo_and_restart(platform, namespace):
    run = lambda *words: platform.kubectl(*words, "-n", namespace).stdout
    platform.apply(statefulset("web", replicas=2), "-n", namespace)
    status = lambda: run("rollout", "status", "statefulset/web", "--timeout=120s")
    status()
    run("set", "image", "statefulset/web", f"web={IMAGE}:1.0.1")
    status()
    wait_for("all new", lambda: pods(platform, namespace) == {"web-0": "1.0.1", "web-1": "1.0.1"})
    history = run("rollout", "history", "statefulset/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line.strip()] == ["1", "2"]
    run("rollout", "undo", "statefulset/web")
    status()
    wait_for("all old", lambda: pods(platform, namespace) == {"web-0": "1.0.0", "web-1": "1.0.0"})
    settled = lambda: platform.get("statefulset", "web", "-n", namespace)["status"]
    wait_for("one revision", lambda: settled()["currentRevision"] == settled()["updateRevision"])
    run("rollout", "restart", "statefulset/web")
    status()
    assert "statefulset.apps/web" in run("get", "controllerrevisions")
    described = run("describe", "statefulset", "web")
    assert "SuccessfulCreate" in described and "Replicas:           2 desired | 2 total" in described


def test_a_partition_and_on_delete_keep_old_pods(platform, namespace):
    rolling = lambda partition: {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    platform.apply(statefulset("web", updateStrategy=rolling(2)), "-n", namespace)
    wait_for("three", lambda: ready(platform, namespace) == 3, seconds=120)
    platform.apply(statefulset("web", "1.0.1", updateStrategy=rolling(2)), "-n", namespace)
    canary = {"web-0": "1.0.0", "web-1": "1.0.0", "web-2": "1.0.1"}
    wait_for("the last alone", lambda: pods(platform, namespace) == canary and ready(platform, namespace) == 3)
    shown = platform.kubectl("rollout", "status", "statefulset/web", "-n", namespace, "--timeout=120s").stdout
    assert "partitioned roll out complete: 1 new pods" in shown
    # Below the partition a pod comes back as it was.
    platform.kubectl("delete", "pod", "web-0", "-n", namespace, "--timeout=120s")
    wait_for("the same", lambda: pods(platform, namespace) == canary and ready(platform, namespace) == 3)
    platform.apply(statefulset("web", "1.0.1", updateStrategy={"type": "OnDelete"}), "-n", namespace)
    platform.kubectl("delete", "pod", "web-1", "-n", namespace, "--timeout=120s")
    mixed = {"web-0": "1.0.0", "web-1": "1.0.1", "web-2": "1.0.1"}
    wait_for("the deleted one new", lambda: pods(platform, namespace) == mixed and ready(platform, namespace) == 3)


def test_in_order_one_that_is_not_ready_holds_the_next_back_and_in_parallel_not(platform, namespace):
    never = {"readinessProbe": {"exec": {"command": ["false"]}}, "image": TOOLS, "command": ["sleep", "600"]}
    for name, policy in (("ordered", "OrderedReady"), ("crowd", "Parallel")):
        stuck = statefulset(name, podManagementPolicy=policy, ordinals={"start": 5})
        stuck["spec"]["template"]["spec"]["containers"][0].update(never)
        platform.apply(stuck, "-n", namespace)
    wait_for("all of the crowd", lambda: sorted(pods(platform, namespace, "crowd")) == ["crowd-5", "crowd-6", "crowd-7"])
    wait_for("the first", lambda: sorted(pods(platform, namespace, "ordered")) == ["ordered-5"])
    phase = lambda name: platform.get("pod", name, "-n", namespace)["status"]["phase"]
    wait_for("it to run", lambda: phase("ordered-5") == "Running")
    assert sorted(pods(platform, namespace, "ordered")) == ["ordered-5"]


def test_an_autoscaler_sizes_one(platform, namespace):
    platform.apply(statefulset("web", replicas=1), "-n", namespace)
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    platform.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
                    "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3}}, "-n", namespace)
    wait_for("two", lambda: ready(platform, namespace) == 2)


def test_deploy_waits_for_it(platform, namespace, tmp_path):
    file = tmp_path / "web.json"
    file.write_text(json.dumps(statefulset("web", replicas=2)))
    said = platform.run("deploy", file, "-n", namespace).stdout
    assert "statefulset.apps/web created" in said and "statefulset.apps/web ready: 2 of 2 in" in said


def test_what_is_wrong_is_named(platform):
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    for spec, said in (
        ({"volumeClaimTemplates": [claim]}, "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value"),
        ({"podManagementPolicy": "Wild"}, "spec.podManagementPolicy: Invalid value: \"Wild\": must be 'OrderedReady' or"),
        ({"serviceName": "A.B"}, "spec.serviceName: Invalid value"),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
         "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"),
    ):
        refused = platform.apply(statefulset("wrong", **spec), check=False)
        assert refused.returncode != 0 and said in refused.stderr, refused.stderr
