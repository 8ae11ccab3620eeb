"""Persistent volumes with the real kubectl: claims, volumes, classes, and what is on them when pods come and go."""

import json
import os
import pathlib
import signal

import pytest

from conftest import TOOLS, shell, tools_directory, wait_for
from test_lambda import ROLE, python_runtime, zipped


def claim(name, storage="1Gi", mode="ReadWriteOnce", **spec):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": storage}}, **spec}}


def volume(name, source, storage="1Gi", labels=None, **spec):
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels or {}},
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": storage}, **source, **spec}}


def storage_class(name, **rest):
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": "dory.dev/local", **rest}


def user(name, claim_name, script="sleep 600", mount=None, source=None, **spec):
    """A pod with a claim at /data."""
    made = shell(name, script, volumeMounts=[{"name": "data", "mountPath": "/data", **(mount or {})}])
    made["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name, **(source or {})}}]
    made["spec"].update(spec)
    return made


def statefulset(name, replicas=2, script="hostname >> /data/log; sleep 600", **spec):
    container = {"name": "main", "image": TOOLS, "command": ["sh", "-c", script],
                 "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim("x")["spec"]}],
            "template": {"metadata": {"labels": {"app": name}},
                         "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}},
            **spec,
        },
    }


class Namespace:
    """kubectl in one namespace."""

    def __init__(self, platform, name):
        self.platform, self.name = platform, name

    def run(self, *words, **options):
        return self.platform.kubectl("-n", self.name, *words, **options).stdout

    def apply(self, *objects, check=True):
        for made in objects:
            done = self.platform.apply(made, "-n", self.name, check=check)
        return done.stderr

    def get(self, kind, name):
        return self.platform.get(kind, name, "-n", self.name)

    def names(self, kind):
        return sorted(item["metadata"]["name"] for item in self.platform.get(kind, "-n", self.name)["items"])

    def phase(self, name):
        return self.get("pvc", name)["status"]["phase"]

    def ready(self, name):
        return self.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=90)

    def sh(self, pod, script, check=True):
        return self.run("exec", pod, "--", "sh", "-c", script, check=check).strip()

    def events(self, kind, name):
        found = self.platform.get("events", "-n", self.name, f"--field-selector=involvedObject.kind={kind},involvedObject.name={name}")
        return {event["reason"]: event["message"] for event in found["items"]}

    def event(self, kind, name, reason):
        return wait_for(f"{reason} of {kind} {name}: {self.events(kind, name)}", lambda: self.events(kind, name).get(reason))


@pytest.fixture
def space(platform, namespace):
    return Namespace(platform, namespace)


def gone(platform, kind, name):
    wait_for(f"{kind} {name} to be gone", lambda: platform.kubectl("get", kind, name, "--ignore-not-found").stdout == "", 60)


def test_a_statefulset_keeps_its_data(space):
    space.apply(statefulset("web"))
    space.run("rollout", "status", "statefulset/web", "--timeout=90s", timeout=120)
    assert space.names("pvc") == ["data-web-0", "data-web-1"]
    assert space.get("pvc", "data-web-0")["metadata"]["labels"] == {"app": "web"}
    row = space.run("get", "pvc", "data-web-0").splitlines()
    assert row[0].split() == "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE".split()
    name = space.get("pvc", "data-web-0")["spec"]["volumeName"]
    assert row[1].split()[:7] == ["data-web-0", "Bound", name, "1Gi", "RWO", "standard", "<unset>"]
    made = space.get("pv", name)
    assert made["spec"]["claimRef"]["name"] == "data-web-0" and made["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    wait_for("the volume to be bound", lambda: space.get("pv", name)["status"]["phase"] == "Bound")
    place = pathlib.Path(made["spec"]["local"]["path"])
    assert place.parent == space.platform.data / "volumes" and (place / "log").read_text() == "web-0\n"
    # The pod comes back to its data.
    space.run("delete", "pod", "web-0", "--timeout=30s")
    wait_for("a second line", lambda: (place / "log").read_text() == "web-0\nweb-0\n")
    # Claims stay when the set shrinks, and are there when it grows.
    space.run("scale", "statefulset/web", "--replicas=1")
    wait_for("one pod", lambda: space.names("pods") == ["web-0"])
    assert space.names("pvc") == ["data-web-0", "data-web-1"]
    space.run("scale", "statefulset/web", "--replicas=2")
    space.run("rollout", "status", "statefulset/web", "--timeout=90s", timeout=120)
    assert space.sh("web-1", "cat /data/log") == "web-1\nweb-1"
    space.run("delete", "statefulset", "web", "--timeout=60s", timeout=90)
    wait_for("no pods", lambda: space.names("pods") == [])
    assert space.names("pvc") == ["data-web-0", "data-web-1"]
    space.run("delete", "pvc", "--all", "--timeout=60s", timeout=90)
    gone(space.platform, "pv", name)
    assert not place.exists()


def test_claims_of_a_set_go_when_its_policy_says_so(space):
    policy = {"whenScaled": "Delete", "whenDeleted": "Delete"}
    space.apply(statefulset("web", persistentVolumeClaimRetentionPolicy=policy))
    space.run("rollout", "status", "statefulset/web", "--timeout=90s", timeout=120)
    space.run("scale", "statefulset/web", "--replicas=1")
    wait_for("one claim", lambda: space.names("pvc") == ["data-web-0"], 60)
    space.run("scale", "statefulset/web", "--replicas=2")
    space.run("rollout", "status", "statefulset/web", "--timeout=90s", timeout=120)
    assert space.sh("web-1", "cat /data/log") == "web-1", "a new volume"
    space.run("delete", "statefulset", "web", "--timeout=60s", timeout=90)
    wait_for("no claims", lambda: space.names("pvc") == [], 60)


def test_dory_deploy_waits_for_a_set_with_claims(space, tmp_path):
    (tmp_path / "web.json").write_text(json.dumps(statefulset("web")))
    space.platform.run("deploy", tmp_path, "--namespace", space.name)
    assert space.get("statefulset", "web")["status"]["readyReplicas"] == 2


def test_data_outlives_a_kill(make_platform):
    own = make_platform()
    own.run("image", "build", tools_directory(), "-t", TOOLS)
    space = Namespace(own, "default")
    counter = "i=0; while [ ! -e /data/stop ]; do i=$((i+1)); echo $i > /data/count; sleep 0.1; done; rm /data/stop; exit 1"
    space.apply(claim("data"), user("writer", "data", counter))
    space.ready("writer")
    place = pathlib.Path(space.get("pv", space.get("pvc", "data")["spec"]["volumeName"])["spec"]["local"]["path"])
    count = lambda: int((place / "count").read_text() or 0)
    wait_for("it counts", lambda: (place / "count").exists() and count() > 0)
    os.kill(own.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in own.run("status", check=False).stdout)
    before = count()
    wait_for("it counts on", lambda: count() > before)
    own.up()
    space.ready("writer")
    assert space.get("pod", "writer")["status"]["containerStatuses"][0]["restartCount"] == 0
    # A container that starts again finds the volume without asking anybody.
    (place / "stop").touch()
    wait_for("another run", lambda: space.get("pod", "writer")["status"]["containerStatuses"][0]["restartCount"] == 1, 60)
    before = count()
    wait_for("it counts again", lambda: count() > before)
    # Neither a stop of everything nor a new start touches the data.
    space.run("delete", "pod", "writer", "--timeout=30s")
    last = count()
    own.down()
    assert count() == last
    own.up()
    space.apply(user("reader", "data", "cat /data/count; sleep 600"))
    space.ready("reader")
    assert space.run("logs", "reader").strip() == str(last)


def test_a_kill_while_volumes_are_made_and_removed(make_platform):
    own = make_platform()
    space = Namespace(own, "default")

    def kill_and_start():
        os.kill(own.pid, signal.SIGKILL)
        wait_for("the lock to go", lambda: "not running" in own.run("status", check=False).stdout)
        own.up()

    own.apply(storage_class("now", volumeBindingMode="Immediate"))
    names = [f"data-{number}" for number in range(40)]
    many = {"apiVersion": "v1", "kind": "List", "items": [claim(name, storageClassName="now") for name in names]}
    made = lambda: [place for place in (own.data / "volumes").iterdir()]
    space.apply(many)
    wait_for("the first", lambda: len(made()) > 5)
    kill_and_start()
    wait_for("all bound", lambda: {item["status"]["phase"] for item in own.get("pvc")["items"]} == {"Bound"}, 60)
    wait_for("all told", lambda: {item["status"]["phase"] for item in own.get("pv")["items"]} == {"Bound"}, 60)
    assert len(made()) == len(own.get("pv")["items"]) == len(names)
    for place in made():
        (place / "file").write_text("x")
    space.run("delete", "pvc", "--all", "--wait=false")
    kill_and_start()
    wait_for("none left", lambda: not own.get("pvc")["items"] and not own.get("pv")["items"] and not made(), 60)


def test_what_becomes_of_volumes(space):
    space.platform.apply(storage_class(f"keep-{space.name}", reclaimPolicy="Retain", volumeBindingMode="Immediate"))
    space.apply(claim("kept", storageClassName=f"keep-{space.name}"), claim("dropped"))
    wait_for("bound at once", lambda: space.phase("kept") == "Bound")
    assert "Successfully provisioned volume pvc-" in space.event("PersistentVolumeClaim", "kept", "ProvisioningSucceeded")
    assert space.phase("dropped") == "Pending"
    assert space.event("PersistentVolumeClaim", "dropped", "WaitForFirstConsumer") == "waiting for first consumer to be created before binding"
    space.apply(user("one", "kept", "echo kept > /data/file; sleep 600"), user("two", "dropped", "echo dropped > /data/file; sleep 600"))
    space.ready("one"), space.ready("two")
    volumes = {name: space.get("pv", space.get("pvc", name)["spec"]["volumeName"]) for name in ("kept", "dropped")}
    places = {name: pathlib.Path(volumes[name]["spec"]["local"]["path"]) for name in volumes}
    # A claim in use goes when its pod does, and a volume when its claim does.
    space.run("delete", "pvc", "kept", "dropped", "--wait=false")
    assert space.get("pvc", "dropped")["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert "Terminating" in space.run("get", "pvc", "dropped")
    space.run("delete", "pv", volumes["kept"]["metadata"]["name"], "--wait=false")
    assert "Terminating" in space.run("get", "pv", volumes["kept"]["metadata"]["name"])
    assert space.sh("two", "cat /data/file") == "dropped"
    # Another pod does not get what is going away.
    space.apply(user("late", "dropped"))
    assert 'persistentvolumeclaim "dropped" is being deleted' in space.event("Pod", "late", "FailedScheduling")
    space.run("delete", "pod", "one", "two", "late", "--timeout=30s")
    wait_for("no claims", lambda: space.names("pvc") == [])
    gone(space.platform, "pv", volumes["dropped"]["metadata"]["name"])
    gone(space.platform, "pv", volumes["kept"]["metadata"]["name"])
    assert not places["dropped"].exists()
    assert (places["kept"] / "file").read_text() == "kept\n", "what is retained outlives its PersistentVolume"
    space.platform.kubectl("delete", "storageclass", f"keep-{space.name}")


def test_volumes_made_by_hand(space, tmp_path):
    name = space.name
    for size in ("small", "big"):
        (tmp_path / size).mkdir()
    made = lambda which, storage, **more: volume(
        f"{which}-{name}", {"hostPath": {"path": str(tmp_path / which)}}, storage, {"for": name, "size": which}, storageClassName=name, **more)
    space.platform.apply(made("small", "1Gi"))
    space.platform.apply(made("big", "5Gi", persistentVolumeReclaimPolicy="Delete"))
    wait_for("available", lambda: space.get("pv", f"big-{name}")["status"]["phase"] == "Available")
    space.apply(claim("any", "500Mi", storageClassName=name), claim("much", "4Gi", storageClassName=name))
    wait_for("both bound", lambda: (space.phase("any"), space.phase("much")) == ("Bound", "Bound"))
    assert space.get("pvc", "any")["spec"]["volumeName"] == f"small-{name}", "the smallest that does"
    assert space.get("pvc", "any")["status"]["capacity"] == {"storage": "1Gi"}
    assert space.get("pvc", "much")["spec"]["volumeName"] == f"big-{name}"
    space.apply(user("writer", "any", "echo here > /data/file; sleep 600"))
    space.ready("writer")
    assert (tmp_path / "small" / "file").read_text() == "here\n"
    space.run("delete", "pod", "writer", "--timeout=30s")
    space.run("delete", "pvc", "any", "much", "--timeout=30s")
    wait_for("released", lambda: space.get("pv", f"small-{name}")["status"]["phase"] == "Released")
    assert (tmp_path / "small" / "file").exists()
    # What was made by hand is not deleted, and the volume says why.
    wait_for("failed", lambda: space.get("pv", f"big-{name}")["status"]["phase"] == "Failed")
    assert "made by hand" in space.get("pv", f"big-{name}")["status"]["message"] and (tmp_path / "big").exists()
    # A released volume is free again when its reservation is taken away, and a claim may name the one it wants.
    space.run("patch", "pv", f"small-{name}", "--type=merge", "-p", '{"spec":{"claimRef":null}}')
    wait_for("available", lambda: space.get("pv", f"small-{name}")["status"]["phase"] == "Available")
    space.apply(claim("named", storageClassName=name, volumeName=f"small-{name}"))
    wait_for("bound", lambda: space.phase("named") == "Bound")
    space.apply(claim("other", storageClassName=name, volumeName=f"small-{name}"))
    assert "already bound to a different claim" in space.event("PersistentVolumeClaim", "other", "FailedBinding")
    space.run("delete", "pvc", "--all", "--timeout=30s")
    space.run("delete", "pv", f"small-{name}", f"big-{name}", "--timeout=30s")


def test_reserved_and_selected_volumes(space, tmp_path):
    name = space.name
    made = lambda which, **more: volume(f"{which}-{name}", {"hostPath": {"path": str(tmp_path / which)}}, labels={"disk": which}, storageClassName="", **more)
    space.platform.apply(made("a", claimRef={"namespace": name, "name": "mine"}))
    space.platform.apply(made("b"))
    selector = {"matchLabels": {"disk": "b"}}
    space.apply(claim("mine", storageClassName=""), claim("chosen", storageClassName="", selector=selector), claim("none", storageClassName="", selector=selector))
    bound = lambda which: space.get("pvc", which)["spec"].get("volumeName")
    wait_for("both bound", lambda: (bound("mine"), bound("chosen")) == (f"a-{name}", f"b-{name}"))
    message = space.event("PersistentVolumeClaim", "none", "FailedBinding")
    assert message == "no persistent volumes available for this claim and no storage class is set"
    space.run("delete", "pvc", "--all", "--timeout=30s")
    space.run("delete", "pv", f"a-{name}", f"b-{name}", "--timeout=30s")


def test_local_volumes_are_found_for_the_node_of_the_pod(space, tmp_path):
    name = space.name
    where = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["dory"]}]}]}}
    space.platform.apply(storage_class(name, provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer"))
    space.apply(claim("data", storageClassName=name), user("early", "data"))
    assert "didn't find available persistent volumes to bind" in space.event("Pod", "early", "FailedScheduling")
    space.platform.apply(volume(f"disk-{name}", {"local": {"path": str(tmp_path / "none")}}, storageClassName=name, nodeAffinity=where))
    message = space.event("Pod", "early", "FailedMount")
    assert message == f'MountVolume.SetUp failed for volume "data" : path "{tmp_path / "none"}" does not exist'
    (tmp_path / "none").mkdir()
    space.ready("early")
    space.run("delete", "pod", "early", "--timeout=30s")
    space.run("delete", "pvc", "data", "--timeout=30s")
    space.run("delete", "pv", f"disk-{name}", "--timeout=30s")
    space.platform.kubectl("delete", "storageclass", name)


def test_pods_say_what_they_wait_for(space):
    space.apply(user("lost", "nowhere"))
    said = lambda pod: next((c["message"] for c in space.get("pod", pod)["status"].get("conditions", []) if c["type"] == "PodScheduled" and c["status"] == "False"), "")
    wait_for("not found", lambda: 'persistentvolumeclaim "nowhere" not found' in said("lost"))
    space.apply(claim("odd", storageClassName="nothing"), user("waits", "odd"))
    assert space.event("PersistentVolumeClaim", "odd", "ProvisioningFailed") == 'storageclass.storage.k8s.io "nothing" not found'
    wait_for("unbound", lambda: "pod has unbound immediate PersistentVolumeClaims" in said("waits"))
    assert space.phase("odd") == "Pending"
    # It begins as soon as the claim is there.
    space.apply(claim("nowhere"))
    space.ready("lost")


def test_groups_read_only_and_parts_of_volumes(space):
    space.apply(claim("data"))
    grouped = user("grouped", "data", "id; sleep 600", securityContext={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000})
    space.apply(user("first", "data", "mkdir -p /data/deep && echo 1 > /data/deep/file && chmod 600 /data/deep/file; sleep 600"))
    space.ready("first")
    space.apply(grouped)
    space.ready("grouped")
    assert space.sh("grouped", "stat -c '%g %a' /data /data/deep/file") == "2000 2777\n2000 660"
    assert space.sh("grouped", "echo 2 >> /data/deep/file && cat /data/deep/file") == "1\n2"
    space.apply(user("reader", "data", source={"readOnly": True}), user("mounted", "data", mount={"readOnly": True}))
    space.apply(user("part", "data", mount={"subPath": "deep"}))
    expressed = user("expressed", "data", mount={"subPathExpr": "of/$(NAME)"})
    expressed["spec"]["containers"][0]["env"] = [{"name": "NAME", "value": "ada"}]
    space.apply(expressed)
    for pod in ("reader", "mounted", "part", "expressed"):
        space.ready(pod)
    for pod in ("reader", "mounted"):
        assert space.sh(pod, "cat /data/deep/file; touch /data/x 2>/dev/null || echo refused") == "1\n2\nrefused"
    assert space.sh("part", "cat /data/file") == "1\n2"
    space.sh("expressed", "echo 3 > /data/own")
    assert space.sh("first", "cat /data/of/ada/own") == "3"


def test_a_claim_for_one_pod_alone(space):
    space.apply(claim("alone", mode="ReadWriteOncePod"), user("first", "alone"))
    space.ready("first")
    space.apply(user("second", "alone"))
    assert "ReadWriteOncePod access mode already in-use by another pod" in space.event("Pod", "second", "FailedScheduling")
    # A pod that goes around the scheduler is stopped at the node.
    space.apply(user("third", "alone", nodeName="dory"))
    assert "already in use by another pod" in space.event("Pod", "third", "FailedMount")
    space.run("delete", "pod", "third", "--timeout=30s")
    space.run("delete", "pod", "first", "--timeout=30s")
    space.ready("second")


def test_generic_ephemeral_volumes(space):
    made = shell("worker", "echo mine > /scratch/file; sleep 600", volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}])
    template = {"metadata": {"labels": {"kind": "scratch"}}, "spec": claim("x")["spec"]}
    made["spec"]["volumes"] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    space.apply(made)
    space.ready("worker")
    own = space.get("pvc", "worker-scratch")
    assert own["metadata"]["labels"] == {"kind": "scratch"} and own["metadata"]["ownerReferences"][0]["name"] == "worker"
    name = own["spec"]["volumeName"]
    space.run("delete", "pod", "worker", "--timeout=30s")
    wait_for("the claim to go with its pod", lambda: space.names("pvc") == [], 60)
    gone(space.platform, "pv", name)
    # A claim of that name which is somebody else's is not used.
    space.apply(claim("worker-scratch"))
    space.apply(made)
    assert "(pod is not owner)" in space.event("Pod", "worker", "FailedScheduling")


def test_claims_that_grow(space):
    space.apply(claim("data"), user("writer", "data"))
    space.ready("writer")
    space.run("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}')
    wait_for("it has grown", lambda: space.get("pvc", "data")["status"]["capacity"] == {"storage": "3Gi"})
    assert space.get("pv", space.get("pvc", "data")["spec"]["volumeName"])["spec"]["capacity"] == {"storage": "3Gi"}
    less = space.platform.kubectl("-n", space.name, "patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}', check=False)
    assert "field can not be less than status.capacity" in less.stderr
    space.platform.apply(storage_class(f"fixed-{space.name}", volumeBindingMode="Immediate"))
    space.apply(claim("fixed", storageClassName=f"fixed-{space.name}"))
    wait_for("bound", lambda: space.phase("fixed") == "Bound")
    more = space.platform.kubectl("-n", space.name, "patch", "pvc", "fixed", "-p", '{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}', check=False)
    assert "the storageclass that provisions the pvc must support resize" in more.stderr
    space.platform.kubectl("delete", "storageclass", f"fixed-{space.name}")


def test_functions_see_no_volumes(space, tmp_path):
    """Neither what pods keep, nor what they may have of the machine."""
    space.apply(claim("data"), user("writer", "data", "echo secret > /data/file; sleep 600"))
    host = shell("host", "echo secret > /host/file; sleep 600", volumeMounts=[{"name": "host", "mountPath": "/host"}])
    host["spec"]["volumes"] = [{"name": "host", "hostPath": {"path": str(tmp_path / "host"), "type": "DirectoryOrCreate"}}]
    space.apply(host)
    space.ready("writer"), space.ready("host")
    place = space.get("pv", space.get("pvc", "data")["spec"]["volumeName"])["spec"]["local"]["path"]
    assert (tmp_path / "host" / "file").read_text() == (pathlib.Path(place) / "file").read_text() == "secret\n"
    code = "import os\ndef handler(event, context):\n    return [os.path.exists(path) for path in event]\n"
    client = space.platform.boto3("lambda")
    client.create_function(FunctionName="looks", Runtime=python_runtime(), Role=ROLE, Handler="main.handler", Code={"ZipFile": zipped(main__py=code)})
    try:
        paths = [str(space.platform.data), place, f"{place}/file", str(tmp_path / "host" / "file"), "/usr"]
        answer = client.invoke(FunctionName="looks", Payload=json.dumps(paths))
        assert json.loads(answer["Payload"].read()) == [False, False, False, False, True]
    finally:
        client.delete_function(FunctionName="looks")


@pytest.mark.parametrize("made, said", [
    (claim("bad", volumeMode="Block"), "raw block devices are not supported by this server"),
    (claim("bad", mode="Sometimes"), 'Unsupported value: "Sometimes"'),
    (claim("bad", "0"), "must be greater than zero"),
    (claim("bad", dataSource={"kind": "PersistentVolumeClaim", "name": "x"}), "copy the data in a pod"),
    (volume("bad", {"nfs": {"server": "a", "path": "/b"}}), "use local or hostPath"),
    (volume("bad", {"local": {"path": "/x"}}), "Local volume requires node affinity"),
    (volume("bad", {"hostPath": {"path": "/a/../b"}}), "must not contain '..'"),
    (volume("bad", {"hostPath": {"path": "/x"}}, persistentVolumeReclaimPolicy="Recycle"), "use Retain or Delete"),
    (storage_class("bad", parameters={"type": "gp3"}), "leave it out"),
    (storage_class("bad", reclaimPolicy="Recycle"), 'Unsupported value: "Recycle"'),
])
def test_what_is_refused(space, made, said):
    assert said in space.apply(made, check=False)


def test_the_default_class(space):
    lines = space.run("get", "storageclass", "standard").splitlines()
    assert lines[1].split()[:6] == ["standard", "(default)", "dory.dev/local", "Delete", "WaitForFirstConsumer", "true"]
    space.apply(claim("plain"), claim("none", storageClassName=""))
    assert space.get("pvc", "plain")["spec"]["storageClassName"] == "standard"
    assert space.get("pvc", "none")["spec"]["storageClassName"] == ""
    assert "immutable" in space.apply(claim("plain", "2Gi"), check=False)
