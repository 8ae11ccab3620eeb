"""What people do with kubectl, done with the real one."""

import json
import re
import subprocess

import pytest
from conftest import ROOT, deployment, shell, wait_for


def test_version_and_nodes(platform):
    assert "Server Version: v1.37" in platform.kubectl("version", check=False).stdout.replace('"', "")
    assert [node["status"]["nodeInfo"]["operatingSystem"] for node in platform.get("nodes")["items"]] == ["linux"]
    platform.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=120s")
    assert "Ready" in platform.kubectl("get", "nodes", "-o", "wide").stdout


def test_the_example_deployment_as_it_stands(platform, namespace):
    manifest = (ROOT / "examples" / "demo" / "api-service.yaml").read_text()
    assert "deployment.apps/api-service created" in platform.apply(manifest, "-n", namespace).stdout
    platform.kubectl("rollout", "status", "deployment/api-service", "-n", namespace, "--timeout=120s")
    shown = platform.kubectl("get", "deployment", "api-service", "-n", namespace, "-o", "wide").stdout
    assert "3/3" in shown and "my-registry/api-service:1.0.0" in shown
    assert "deployment.apps/api-service unchanged" in platform.apply(manifest, "-n", namespace).stdout
    described = platform.kubectl("describe", "deployment", "api-service", "-n", namespace).stdout
    assert "3 desired | 3 updated | 3 total | 3 available" in described
    assert "ScalingReplicaSet" in described
    described = platform.kubectl("describe", "pods", "-n", namespace).stdout
    assert "Container started" in described and re.search(r"cpu: +100m", described)
    assert platform.kubectl("get", "all", "-n", namespace, "-o", "yaml").stdout.count("kind: Pod\n") == 3


def test_scale_update_undo(platform, namespace):
    platform.apply(deployment("web"), "-n", namespace)
    run = lambda *words: platform.kubectl(*words, "-n", namespace).stdout
    run("rollout", "status", "deployment/web", "--timeout=120s")
    run("scale", "deployment/web", "--replicas=4")
    run("rollout", "status", "deployment/web", "--timeout=120s")
    assert platform.get("deployment", "web", "-n", namespace)["status"]["readyReplicas"] == 4
    run("set", "image", "deployment/web", "api=my-registry/api-service:1.0.1")
    run("rollout", "status", "deployment/web", "--timeout=120s")
    images = lambda: {
        one["spec"]["containers"][0]["image"]
        for one in platform.get("pods", "-n", namespace)["items"]
        if "deletionTimestamp" not in one["metadata"]
    }
    assert images() == {"my-registry/api-service:1.0.1"}
    history = run("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line.strip()] == ["1", "2"]
    run("rollout", "undo", "deployment/web")
    run("rollout", "status", "deployment/web", "--timeout=120s")
    assert images() == {"my-registry/api-service:1.0.0"}
    run("rollout", "restart", "deployment/web")
    run("rollout", "status", "deployment/web", "--timeout=120s")


def test_patches(platform, namespace):
    platform.apply(deployment("web", replicas=0), "-n", namespace)
    patch = lambda kind, body: platform.kubectl(
        "patch", "deployment", "web", "-n", namespace, f"--type={kind}", "-p", json.dumps(body)
    )
    patch("merge", {"metadata": {"labels": {"tier": "front"}}})
    patch("json", [{"op": "add", "path": "/metadata/annotations/note", "value": "x"}])
    containers = [{"name": "side", "image": "my-registry/api-service:1.0.1"}]
    patch("strategic", {"spec": {"template": {"spec": {"containers": containers}}}})
    seen = platform.get("deployment", "web", "-n", namespace)
    assert seen["metadata"]["labels"]["tier"] == "front"
    assert seen["metadata"]["annotations"]["note"] == "x"
    assert {one["name"] for one in seen["spec"]["template"]["spec"]["containers"]} == {"api", "side"}
    platform.kubectl("label", "deployment", "web", "tier-", "-n", namespace)
    assert "tier" not in platform.get("deployment", "web", "-n", namespace)["metadata"]["labels"]


@pytest.mark.kubectl(24)
def test_server_side_apply_names_who_owns_what(platform, namespace):
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"color": "red"}}
    platform.apply(mine, "--server-side", "--field-manager=one", "-n", namespace)
    mine["data"] = {"color": "blue"}
    refused = platform.apply(mine, "--server-side", "--field-manager=two", "-n", namespace, check=False)
    assert refused.returncode != 0
    assert 'conflict with "one"' in refused.stderr and ".data.color" in refused.stderr
    platform.apply(mine, "--server-side", "--field-manager=two", "--force-conflicts", "-n", namespace)
    seen = platform.get("configmap", "shared", "-n", namespace, "--show-managed-fields")
    assert seen["data"] == {"color": "blue"}
    assert [one["manager"] for one in seen["metadata"]["managedFields"]] == ["two"]


def test_dry_run_and_diff_change_nothing(platform, namespace):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trial"}, "data": {"a": "1"}}
    assert "(server dry run)" in platform.apply(manifest, "--dry-run=server", "-n", namespace).stdout
    assert "NotFound" in platform.kubectl("get", "configmap", "trial", "-n", namespace, check=False).stderr
    diff = platform.kubectl("diff", "-n", namespace, "-f", "-", text=json.dumps(manifest), check=False)
    assert diff.returncode == 1 and "+  a: " in diff.stdout


@pytest.mark.kubectl(31)
def test_logs_and_exec(platform, namespace):
    platform.apply(shell("one", "for i in 1 2 3; do echo line $i; done; echo oops >&2; sleep 600"), "-n", namespace)
    platform.kubectl("wait", "--for=condition=Ready", "pod/one", "-n", namespace, "--timeout=120s")
    run = lambda *words, **more: platform.kubectl(*words, "-n", namespace, **more)
    wait_for("all lines", lambda: "oops" in run("logs", "one").stdout)
    assert run("logs", "one").stdout.startswith("line 1\nline 2\nline 3\n")
    assert run("logs", "one", "--tail=1").stdout in ("line 3\n", "oops\n")
    stamped = run("logs", "one", "--timestamps", "--tail=1").stdout
    assert stamped.startswith("20") and "T" in stamped.split()[0] and stamped.split()[0].endswith("Z")
    follower = subprocess.Popen(
        ["kubectl", "logs", "-f", "one", "-n", namespace], env=platform.environment, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout.readline() == "line 1\n"
    execute = lambda *words, **more: platform.kubectl("exec", "-n", namespace, "one", *words, **more)
    assert execute("--", "hostname").stdout == "one\n"
    assert platform.kubectl("exec", "-i", "-n", namespace, "one", "--", "tr", "a-z", "A-Z", text="quiet").stdout == "QUIET"
    failed = execute("--", "sh", "-c", "echo no >&2; exit 7", check=False)
    assert failed.returncode == 7 and failed.stderr.startswith("no\n")
    missing = execute("--", "nope", check=False)
    assert missing.returncode != 0 and "executable file not found in $PATH" in missing.stderr
    run("delete", "pod", "one", "--timeout=120s")
    assert follower.wait(timeout=20) == 0
    assert "NotFound" in run("get", "pod", "one", check=False).stderr


def test_watch_prints_rows_as_they_change(platform, namespace):
    watcher = subprocess.Popen(
        ["kubectl", "get", "configmaps", "-w", "-n", namespace, "--no-headers"],
        env=platform.environment, stdout=subprocess.PIPE, text=True,
    )
    assert watcher.stdout.readline().split()[0] == "kube-root-ca.crt"
    platform.kubectl("create", "configmap", "seen", "-n", namespace, "--from-literal=a=1")
    assert watcher.stdout.readline().split()[:2] == ["seen", "1"]
    watcher.kill()


@pytest.mark.kubectl(23)
def test_config_reaches_containers(platform, namespace):
    platform.kubectl("create", "configmap", "settings", "-n", namespace, "--from-literal=COLOR=red")
    platform.kubectl("create", "secret", "generic", "keys", "-n", namespace, "--from-literal=key=hush")
    script = "echo $COLOR $GREETING; cat /keys/key; echo; while ! grep -q new /etc/settings/COLOR; do sleep 0.1; done; echo seen"
    one = shell("configured", script, envFrom=[{"configMapRef": {"name": "settings"}}],
                env=[{"name": "GREETING", "value": "hello $(COLOR)"}],
                volumeMounts=[{"name": "keys", "mountPath": "/keys", "readOnly": True},
                              {"name": "settings", "mountPath": "/etc/settings"}])
    one["spec"]["restartPolicy"] = "Never"
    one["spec"]["volumes"] = [{"name": "keys", "secret": {"secretName": "keys"}},
                              {"name": "settings", "configMap": {"name": "settings"}}]
    platform.apply(one, "-n", namespace)
    logs = lambda: platform.kubectl("logs", "configured", "-n", namespace, check=False).stdout
    wait_for("the first lines", lambda: logs() == "red hello red\nhush\n")
    changed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"COLOR": "new"}}
    platform.apply(changed, "--server-side", "--force-conflicts", "-n", namespace)
    platform.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/configured", "-n", namespace,
                     "--timeout=120s")
    assert logs().endswith("seen\n")


@pytest.mark.kubectl(24)
def test_who_may_what(platform, namespace):
    assert platform.kubectl("auth", "can-i", "create", "pods").stdout.strip() == "yes"
    platform.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    platform.kubectl("create", "role", "reader", "-n", namespace, "--verb=get,list", "--resource=configmaps")
    platform.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader",
                     f"--serviceaccount={namespace}:reader")
    token = platform.kubectl("create", "token", "reader", "-n", namespace).stdout.strip()
    ask = lambda *words: subprocess.run(
        ["kubectl", f"--server=https://127.0.0.1:{platform.endpoints['api_port']}", "--kubeconfig=/dev/null",
         "--insecure-skip-tls-verify", f"--token={token}", *words], capture_output=True, text=True, timeout=30)
    assert ask("get", "configmaps", "-n", namespace).returncode == 0
    refused = ask("get", "secrets", "-n", namespace)
    assert f'User "system:serviceaccount:{namespace}:reader" cannot list resource "secrets"' in refused.stderr
    assert ask("auth", "can-i", "delete", "configmaps", "-n", namespace).stdout.strip() == "no"


@pytest.mark.kubectl(24)
def test_explain_and_resources(platform):
    assert "replicas" in platform.kubectl("explain", "deployment.spec").stdout
    listed = platform.kubectl("api-resources").stdout
    assert "functions" in listed and "dory.dev/v1" in listed and "deployments" in listed


def test_namespaces_go_with_all_they_hold(platform):
    platform.kubectl("create", "namespace", "short-lived")
    platform.apply(deployment("web", replicas=2), "-n", "short-lived")
    platform.kubectl("rollout", "status", "deployment/web", "-n", "short-lived", "--timeout=120s")
    platform.kubectl("delete", "namespace", "short-lived", "--timeout=120s")
    gone = lambda: not [one for one in platform.get("pods", "-A")["items"]
                        if one["metadata"]["namespace"] == "short-lived"]
    wait_for("pods of a deleted namespace", gone)


def test_deleting_a_deployment_collects_its_garbage(platform, namespace):
    platform.apply(deployment("web", replicas=2), "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")
    platform.kubectl("delete", "deployment", "web", "-n", namespace, "--cascade=foreground", "--timeout=120s")
    assert platform.get("replicasets,pods", "-n", namespace)["items"] == []


@pytest.mark.kubectl(24)
def test_a_node_that_was_taken_for_dead_says_that_it_lives(platform):
    """As after the whole machine stood still: the node's lease was silent, and the node is NotReady."""
    name = platform.get("nodes")["items"][0]["metadata"]["name"]
    ready = lambda: next(one for one in platform.get("node", name)["status"]["conditions"] if one["type"] == "Ready")
    lost = {**ready(), "status": "Unknown", "reason": "NodeStatusUnknown"}
    platform.kubectl("patch", "node", name, "--subresource=status", "-p", json.dumps({"status": {"conditions": [lost]}}))
    wait_for("the node to be ready again", lambda: ready()["status"] == "True")
    wait_for("its taints to go", lambda: not platform.get("node", name)["spec"].get("taints"))
