"""Bad input at the Kubernetes door and in pods: each answer is the one a user of Kubernetes expects."""

import json
import ssl
import urllib.error
import urllib.request

import pytest
from conftest import TOOLS, deployment, pod, shell, wait_for


def refused(platform, manifest, namespace, *more):
    done = platform.apply(manifest, "-n", namespace, *more, check=False)
    assert done.returncode != 0
    return done.stderr


def test_unknown_fields_and_wrong_types(platform, namespace):
    wrong = deployment("web")
    wrong["spec"]["replicsa"] = 3
    assert 'unknown field "spec.replicsa"' in refused(platform, wrong, namespace)
    wrong = deployment("web", replicas="three")
    said = refused(platform, wrong, namespace, "--validate=false")
    assert "replicas" in said and ("int32" in said or "integer" in said)


def test_invalid_names_and_values(platform, namespace):
    wrong = deployment("Not_A_Name")
    assert 'Invalid value: "Not_A_Name"' in refused(platform, wrong, namespace)
    wrong = deployment("web")
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert "`selector` does not match template `labels`" in refused(platform, wrong, namespace)
    wrong = pod("web", image="")
    assert "spec.containers[0].image: Required value" in refused(platform, wrong, namespace)
    wrong = pod("web", resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    assert "must be less than or equal to cpu limit" in refused(platform, wrong, namespace)


def test_immutable_fields(platform, namespace):
    platform.apply(deployment("web", replicas=0), "-n", namespace)
    changed = deployment("web", replicas=0)
    changed["spec"]["selector"]["matchLabels"] = {"app": "new"}
    changed["spec"]["template"]["metadata"]["labels"] = {"app": "new"}
    assert "field is immutable" in refused(platform, changed, namespace)


def test_a_stale_update_conflicts(platform, namespace):
    platform.kubectl("create", "configmap", "shared", "-n", namespace, "--from-literal=a=1")
    stale = platform.get("configmap", "shared", "-n", namespace)
    platform.kubectl("label", "configmap", "shared", "x=y", "-n", namespace)
    done = platform.kubectl("replace", "-n", namespace, "-f", "-", text=json.dumps(stale), check=False)
    assert "the object has been modified; please apply your changes to the latest version" in done.stderr


def test_what_does_not_exist(platform, namespace):
    assert 'pods "ghost" not found' in platform.kubectl("get", "pod", "ghost", "-n", namespace, check=False).stderr
    done = platform.apply(pod("web"), "-n", "no-such-namespace", check=False)
    assert 'namespaces "no-such-namespace" not found' in done.stderr
    assert "the server doesn't have a resource type" in platform.kubectl("get", "unicorns", check=False).stderr


@pytest.fixture
def raw(platform):
    """Sends bytes to the API with an administrator's token."""
    token = platform.kubectl("create", "token", "default", "-n", "kube-system").stdout.strip()
    platform.kubectl("create", "clusterrolebinding", "raw-tests", "--clusterrole=cluster-admin",
                     "--serviceaccount=kube-system:default", check=False)
    context = ssl._create_unverified_context()

    def send(method, path, body=None, **headers):
        request = urllib.request.Request(f"https://127.0.0.1:{platform.endpoints['api_port']}{path}", body, method=method)
        request.add_header("Authorization", headers.pop("authorization", f"Bearer {token}"))
        request.add_header("Content-Type", headers.pop("content_type", "application/json"))
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return send


@pytest.mark.kubectl(24)
def test_malformed_and_oversized_bodies(raw):
    path = "/api/v1/namespaces/default/configmaps"
    code, body = raw("POST", path, b'{"metadata": ')
    assert code == 400 and json.loads(body)["kind"] == "Status"
    code, body = raw("POST", path, b"\xff\xfe")
    assert code == 400
    big = json.dumps({"metadata": {"name": "big"}, "data": {"a": "x" * 4_000_000}}).encode()
    code, body = raw("POST", path, big)
    assert code == 413 and json.loads(body)["reason"] == "RequestEntityTooLarge"
    code, body = raw("POST", path, b"<a/>", content_type="text/xml")
    assert code == 415
    code, body = raw("PATCH", path + "/kube-root-ca.crt", b"[{]", content_type="application/json-patch+json")
    assert code == 400


@pytest.mark.kubectl(24)
def test_strangers_learn_nothing(raw):
    code, body = raw("GET", "/api/v1/namespaces/default/secrets", authorization="Bearer forged.token.here")
    assert code == 401 and json.loads(body)["reason"] == "Unauthorized"
    assert raw("GET", "/api/v1/namespaces", authorization="")[0] == 401
    assert raw("GET", "/version", authorization="")[0] == 200
    assert raw("GET", "/livez", authorization="") == (200, b"ok")


def waiting(platform, namespace, name):
    statuses = platform.get("pod", name, "-n", namespace)["status"].get("containerStatuses") or [{}]
    return statuses[0].get("state", {}).get("waiting", {}).get("reason")


def test_a_missing_image_says_how_to_get_it(platform, namespace):
    platform.apply(pod("web", image="no-such/image:1"), "-n", namespace)
    wait_for("the reason", lambda: waiting(platform, namespace, "web") in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"))
    assert "dory image" in platform.kubectl("describe", "pod", "web", "-n", namespace).stdout


def test_a_command_that_does_not_exist(platform, namespace):
    platform.apply(pod("web", image=TOOLS, command=["/no/such/program"]), "-n", namespace)
    wait_for("the reason", lambda: waiting(platform, namespace, "web") in ("RunContainerError", "CrashLoopBackOff"))
    assert "no such file or directory" in platform.kubectl("describe", "pod", "web", "-n", namespace).stdout


def test_a_crash_loop_backs_off_and_counts(platform, namespace):
    platform.apply(shell("loop", "echo bye; exit 3"), "-n", namespace)
    wait_for("a back-off", lambda: waiting(platform, namespace, "loop") == "CrashLoopBackOff")
    status = platform.get("pod", "loop", "-n", namespace)["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 3 and status["restartCount"] >= 0
    assert platform.kubectl("logs", "loop", "-n", namespace, check=False).stdout == "bye\n"
    assert "Back-off restarting failed container" in platform.kubectl("describe", "pod", "loop", "-n", namespace).stdout


@pytest.mark.kubectl(23)
def test_a_pod_that_eats_its_memory_is_killed_for_it(platform, namespace):
    one = shell("hungry", "tail /dev/zero", resources={"limits": {"memory": "32Mi"}})
    one["spec"]["restartPolicy"] = "Never"
    platform.apply(one, "-n", namespace)
    platform.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/hungry", "-n", namespace, "--timeout=120s")
    status = platform.get("pod", "hungry", "-n", namespace)["status"]["containerStatuses"][0]
    assert status["state"]["terminated"]["reason"] == "OOMKilled"


def test_a_pod_that_fits_nowhere_says_why(platform, namespace):
    platform.apply(pod("huge", resources={"requests": {"memory": "900Gi"}}), "-n", namespace)
    told = lambda: "0/1 nodes are available: 1 Insufficient memory" in platform.kubectl(
        "describe", "pod", "huge", "-n", namespace).stdout
    wait_for("the scheduler's reason", told)


@pytest.mark.kubectl(31)
def test_probes_decide_who_is_ready(platform, namespace):
    probe = {"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1}
    platform.apply(shell("slow", "sleep 600", readinessProbe=probe), "-n", namespace)
    wait_for("it to run", lambda: platform.get("pod", "slow", "-n", namespace)["status"]["phase"] == "Running")
    ready = lambda: platform.get("pod", "slow", "-n", namespace)["status"]["containerStatuses"][0]["ready"]
    assert not ready()
    platform.kubectl("exec", "slow", "-n", namespace, "--", "touch", "/tmp/ready")
    wait_for("it to be ready", ready)
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    platform.apply(shell("ill", "sleep 600", livenessProbe=probe), "-n", namespace)
    # A pod that has just been made has no containers in its status.
    containers = lambda: platform.get("pod", "ill", "-n", namespace)["status"].get("containerStatuses", [])
    wait_for("a restart", lambda: any(one["restartCount"] > 0 for one in containers()))
