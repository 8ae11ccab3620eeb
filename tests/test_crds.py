"""CustomResourceDefinitions, as people and operators use them: the real kubectl and helm."""

import json
import os
import shutil
import signal
import subprocess
import uuid

import pytest
from conftest import ROOT, wait_for

COLORS = {"type": "string", "enum": ["red", "blue"], "description": "Its color."}
PORT = {
    "type": "object", "required": ["name"],
    "properties": {
        "name": {"type": "string"}, "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
    },
}
SPEC = {
    "type": "object", "description": "What is wanted.", "required": ["color"],
    "properties": {
        "color": COLORS,
        "replicas": {"type": "integer", "minimum": 0, "maximum": 10, "default": 1},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": PORT},
        "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
STATUS = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"}, "selector": {"type": "string"},
        "conditions": {"type": "array", "items": {
            "type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}},
    },
}


def definition(group, **names):
    """The definition of widgets in a group."""
    old = {
        "name": "v1beta1", "served": True, "storage": False, "deprecated": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    new = {
        "name": "v1", "served": True, "storage": True,
        "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector"}},
        "selectableFields": [{"jsonPath": ".spec.color"}],
        "additionalPrinterColumns": [
            {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Ready", "type": "string", "priority": 1, "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        ],
        "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": SPEC, "status": STATUS}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "versions": [old, new],
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], **names},
        },
    }


class Widgets:
    """A group of a test's own, with widgets in it."""

    def __init__(self, platform, namespace):
        self.platform, self.namespace = platform, namespace
        self.group = f"g{uuid.uuid4().hex[:8]}.example.com"
        self.resource = f"widgets.{self.group}"
        self.crd = f"crd/{self.resource}"

    def run(self, *words, **more):
        return self.platform.kubectl("-n", self.namespace, *words, **more)

    def establish(self, **names):
        self.platform.apply(definition(self.group, **names))
        self.run("wait", "--for=condition=established", self.crd, "--timeout=30s")
        return self

    def widget(self, name, metadata=None, **spec):
        return {
            "apiVersion": f"{self.group}/v1", "kind": "Widget",
            "metadata": {"name": name, "namespace": self.namespace, **(metadata or {})}, "spec": {"color": "red", **spec},
        }

    def make(self, name, **more):
        self.platform.apply(self.widget(name, **more))

    def get(self, name, resource=None):
        return self.platform.get(resource or self.resource, name, "-n", self.namespace)

    def names(self, *words):
        shown = self.run("get", self.resource, "-o", "name", *words).stdout.split()
        return [line.split("/")[1] for line in shown]


@pytest.fixture
def widgets(platform, namespace):
    made = Widgets(platform, namespace)
    yield made
    crd = platform.kubectl("get", made.crd, "-o", "json", check=False)
    if crd.returncode == 0:
        platform.kubectl("delete", made.crd, "--wait=false")


def test_a_kind_of_ones_own_is_like_any_other(widgets):
    widgets.establish()
    run = widgets.run
    listed = run("api-resources", f"--api-group={widgets.group}", "--no-headers").stdout.split()
    assert listed == ["widgets", "wd", f"{widgets.group}/v1", "true", "Widget"]
    widgets.make("a", ports=[{"name": "x", "port": 1}], extra={"any": {"thing": [1]}})
    made = widgets.get("a")
    assert made["spec"]["replicas"] == 1 and made["spec"]["ports"][0]["protocol"] == "TCP"
    assert made["spec"]["extra"] == {"any": {"thing": [1]}} and made["metadata"]["generation"] == 1
    shown = run("get", widgets.resource, "-o", "wide").stdout.splitlines()
    assert shown[0].split() == ["NAME", "COLOR", "REPLICAS", "READY"] and shown[1].split()[:3] == ["a", "red", "1"]
    run("patch", widgets.resource, "a", "--type=merge", "-p", '{"spec":{"color":"blue"}}')
    run("patch", widgets.resource, "a", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":3}]')
    strategic = run("patch", widgets.resource, "a", "--type=strategic", "-p", '{"spec":{"color":"red"}}', check=False)
    assert "application/strategic-merge-patch+json is not supported" in strategic.stderr
    assert widgets.get("a")["metadata"]["generation"] == 3
    status = json.dumps({
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}, "spec": {"color": "red"},
        "metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/hold"]}})
    run("patch", widgets.resource, "a", "--subresource=status", "--type=merge", "-p", status)
    made = widgets.get("a")
    assert "labels" not in made["metadata"] and "finalizers" not in made["metadata"]
    assert (made["spec"]["color"], made["metadata"]["generation"]) == ("blue", 3), "a status changes nothing else"
    assert "True" in run("get", widgets.resource, "a", "-o", "wide").stdout
    run("scale", widgets.resource, "a", "--replicas=5")
    assert widgets.get("a")["spec"]["replicas"] == 5
    run("label", widgets.resource, "a", "tier=front")
    assert widgets.names("-l", "tier=front") == ["a"] and widgets.names("-l", "tier=back") == []
    assert widgets.names("--field-selector", "spec.color=blue") == ["a"]
    assert widgets.names("--field-selector", "spec.color=red,metadata.name=a") == []
    run("delete", widgets.resource, "--all")
    assert widgets.names() == []


def test_what_a_schema_does_not_allow_is_refused(widgets):
    widgets.establish()
    wrong = widgets.widget("bad", color="green", replicas=11, ports=[{"name": "x"}, {"name": "x"}, {}])
    told = widgets.platform.apply(wrong, "--validate=ignore", check=False).stderr
    for text in (
        'spec.color: Unsupported value: "green": supported values: "red", "blue"',
        "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        'spec.ports[1]: Duplicate value: {"name":"x"}',
        "spec.ports[2].name: Required value",
    ):
        assert text in told, told
    wrong = widgets.widget("bad", replicas="many")
    told = widgets.platform.apply(wrong, "--validate=ignore", check=False).stderr
    assert 'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"' in told
    unknown = widgets.widget("odd", colour="red")
    strict = widgets.platform.apply(unknown, check=False)
    assert 'strict decoding error: unknown field "spec.colour"' in strict.stderr
    warned = widgets.platform.apply(unknown, "--validate=warn")
    assert 'Warning: unknown field "spec.colour"' in warned.stderr
    assert "colour" not in widgets.get("odd")["spec"]


def test_explain_knows_the_fields(widgets):
    widgets.establish()
    shown = widgets.run("explain", f"widget.spec.color", f"--api-version={widgets.group}/v1").stdout
    assert "Its color." in shown and "<string>" in shown
    shown = widgets.run("explain", "widget.spec", f"--api-version={widgets.group}/v1").stdout
    assert "What is wanted." in shown and "-required-" in shown


def test_an_old_kubectl_explains_and_applies(widgets, platform):
    """It knows the older OpenAPI document alone, in its protobuf form."""
    old = ROOT / "target" / "kubectl-old" / "usr" / "bin" / "kubectl"
    if not old.exists():
        pytest.skip("no old kubectl: tools/setup gets it")
    widgets.establish()
    run = lambda *words, text=None: subprocess.run(
        [old, *words], env=platform.environment, input=text, capture_output=True, text=True, timeout=60)
    shown = run("explain", "widget.spec", f"--api-version={widgets.group}/v1")
    assert "replicas" in shown.stdout, shown.stderr
    wrong = run("apply", "-f", "-", text=json.dumps(widgets.widget("a", replicas="many")))
    assert "spec.replicas" in wrong.stderr
    done = run("apply", "-f", "-", text=json.dumps(widgets.widget("a")))
    assert done.returncode == 0, done.stderr


def test_every_version_shows_the_same_object(widgets):
    widgets.establish()
    widgets.make("a")
    old = f"widgets.v1beta1.{widgets.group}"
    assert widgets.get("a", old)["apiVersion"] == f"{widgets.group}/v1beta1"
    told = widgets.run("get", old, "a").stderr
    assert f"Warning: {widgets.group}/v1beta1 Widget is deprecated" in told
    changed = widgets.get("a", old)
    changed["spec"]["color"] = "blue"
    widgets.platform.kubectl("replace", "-f", "-", text=json.dumps(changed))
    assert widgets.get("a")["spec"]["color"] == "blue"
    assert widgets.get("a")["apiVersion"] == f"{widgets.group}/v1"


def test_server_side_apply_merges_lists_by_their_keys(widgets):
    widgets.establish()
    apply = lambda manager, **spec: widgets.platform.apply(
        widgets.widget("a", **spec), "--server-side", f"--field-manager={manager}", check=False)
    assert apply("one", ports=[{"name": "x", "port": 1}]).returncode == 0
    assert apply("two", ports=[{"name": "y", "port": 2}]).returncode == 0
    assert [port["name"] for port in widgets.get("a")["spec"]["ports"]] == ["x", "y"]
    conflict = apply("two", ports=[{"name": "x", "port": 3}])
    assert 'conflict with "one"' in conflict.stderr and 'spec.ports[name="x"].port' in conflict.stderr
    assert apply("one").returncode == 0
    assert [port["name"] for port in widgets.get("a")["spec"]["ports"]] == ["y"]


def test_names_that_are_taken_wait_until_they_are_free(widgets, platform):
    widgets.establish()
    other = definition(widgets.group, kind="Gadget", plural="gadgets")
    other["metadata"]["name"] = f"gadgets.{widgets.group}"
    platform.apply(other)
    try:
        gadgets = f"crd/gadgets.{widgets.group}"
        widgets.run("wait", "--for=condition=NamesAccepted=False", gadgets, "--timeout=30s")
        told = platform.get(gadgets)["status"]["conditions"]
        assert {"ShortNamesConflict", "NotAccepted"} == {one["reason"] for one in told}
        widgets.run("delete", widgets.crd)
        widgets.run("wait", "--for=condition=established", gadgets, "--timeout=30s")
    finally:
        platform.kubectl("delete", "crd", f"gadgets.{widgets.group}", "--wait=false", check=False)


@pytest.mark.parametrize("change, want", [
    (lambda spec: spec["versions"][0].update(storage=True), "must have exactly one version marked as storage version"),
    (lambda spec: spec.update(conversion={"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://example.com"}}}), "conversion webhooks are not supported"),
    (lambda spec: spec["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"].update(
        {"x-kubernetes-validations": [{"rule": "self.replicas > 0"}]}), "rules in CEL are not supported by this server"),
    (lambda spec: spec["versions"][1]["schema"]["openAPIV3Schema"]["properties"].update(x={"properties": {}}),
     "must not be empty for specified object fields"),
    (lambda spec: spec.update(group="example"), "should be a domain with at least one dot"),
])
def test_definitions_that_are_refused(widgets, change, want):
    crd = json.loads(json.dumps(definition(widgets.group)))
    change(crd["spec"])
    told = widgets.platform.apply(crd, check=False)
    assert told.returncode != 0 and want in told.stderr, told.stderr


def test_a_definition_takes_its_objects_along(widgets):
    widgets.establish()
    widgets.make("held", metadata={"finalizers": ["example.com/hold"]})
    widgets.make("free")
    watch = subprocess.Popen(
        ["kubectl", "-n", widgets.namespace, "get", widgets.resource, "-w", "-o", "name"],
        env=widgets.platform.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert {watch.stdout.readline().strip() for _ in range(2)} == {f"{widgets.resource.replace('widgets', 'widget', 1)}/{name}" for name in ("held", "free")}
        widgets.run("delete", widgets.crd, "--wait=false")
        wait_for("the free one is gone", lambda: widgets.names() == ["held"])
        crd = widgets.platform.get(widgets.crd)
        assert crd["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        terminating = [one for one in crd["status"]["conditions"] if one["type"] == "Terminating"]
        assert terminating[0]["status"] == "True"
        late = widgets.platform.apply(widgets.widget("late"), check=False)
        assert "create not allowed while custom resource definition is terminating" in late.stderr
        remove = ["--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]']
        widgets.run("patch", widgets.resource, "held", "--subresource=status", *remove)
        assert widgets.names() == ["held"], "who may write its status may not let go of it"
        widgets.run("patch", widgets.resource, "held", *remove)
        widgets.run("wait", "--for=delete", widgets.crd, "--timeout=30s")
        assert watch.wait(timeout=30) is not None, "a watch on a kind that is gone ends"
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()
    gone = widgets.run("get", widgets.resource, check=False)
    assert "the server could not find the requested resource" in gone.stderr or "doesn't have a resource type" in gone.stderr
    widgets.establish()
    assert widgets.names() == []


def test_a_changed_definition_holds_at_once(widgets):
    widgets.establish()
    widgets.make("a")
    more = [{"op": "add", "path": "/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties/size",
             "value": {"type": "string", "default": "big"}}]
    widgets.run("patch", widgets.crd, "--type=json", "-p", json.dumps(more))
    assert widgets.get("a")["spec"]["size"] == "big", "a default is there for objects that were there before"
    widgets.make("a", size="small")
    assert widgets.get("a")["spec"]["size"] == "small"
    swap = [{"op": "replace", "path": f"/spec/versions/{at}/storage", "value": at == 0} for at in (0, 1)]
    widgets.run("patch", widgets.crd, "--type=json", "-p", json.dumps(swap))
    assert widgets.platform.get(widgets.crd)["status"]["storedVersions"] == ["v1", "v1beta1"]
    assert widgets.get("a")["spec"]["size"] == "small" and widgets.get("a")["apiVersion"] == f"{widgets.group}/v1"


def test_owners_namespaces_and_roles(widgets):
    widgets.establish()
    widgets.make("owner")
    uid = widgets.get("owner")["metadata"]["uid"]
    reference = [{"apiVersion": f"{widgets.group}/v1", "kind": "Widget", "name": "owner", "uid": uid}]
    widgets.make("owned", metadata={"ownerReferences": reference})
    widgets.platform.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "owned", "namespace": widgets.namespace, "ownerReferences": reference}})
    widgets.run("delete", widgets.resource, "owner")
    wait_for("the owned widget is gone", lambda: widgets.names() == [])
    wait_for("the owned map is gone", lambda: "owned" not in widgets.run("get", "cm", "-o", "name").stdout)
    other = f"{widgets.namespace}-room"
    widgets.run("create", "namespace", other)
    widgets.platform.apply({**widgets.widget("inside"), "metadata": {"name": "inside", "namespace": other}})
    widgets.run("delete", "namespace", other, "--timeout=30s")
    assert widgets.platform.get(widgets.resource, "-A")["items"] == []
    widgets.run("create", "role", "painter", "--verb=get,list", f"--resource={widgets.resource}")
    widgets.run("create", "rolebinding", "painter", "--role=painter", "--user=ann")
    can = lambda verb: widgets.run("auth", "can-i", verb, widgets.resource, "--as=ann", check=False).stdout.strip()
    assert (can("list"), can("delete")) == ("yes", "no")
    widgets.make("kept")
    refused = widgets.run("delete", widgets.resource, "kept", "--as=ann", check=False)
    assert 'User "ann" cannot' in refused.stderr


def test_somebody_elses_pod_is_no_pod(widgets):
    """A kind may have the name of one of ours, and has nothing else of it."""
    widgets.establish(kind="Pod", singular="widget")
    pod = {**widgets.widget("a"), "kind": "Pod"}
    widgets.platform.apply(pod)
    assert "nodeName" not in widgets.get("a")["spec"]
    widgets.run("delete", widgets.resource, "a")
    assert widgets.names() == []


def test_custom_kinds_survive_kill_9(make_platform):
    platform = make_platform()
    widgets = Widgets(platform, "default").establish()
    widgets.make("a", replicas=2)
    wide = definition(widgets.group, plural="wheels", kind="Wheel", shortNames=[])
    wide["metadata"]["name"] = f"wheels.{widgets.group}"
    wide["spec"]["scope"] = "Cluster"
    platform.apply(wide)
    widgets.run("wait", "--for=condition=established", f"crd/wheels.{widgets.group}", "--timeout=30s")
    platform.apply({"apiVersion": f"{widgets.group}/v1", "kind": "Wheel", "metadata": {"name": "round"}, "spec": {"color": "red"}})
    os.kill(platform.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in platform.run("status", check=False).stdout)
    platform.up()
    assert widgets.get("a")["spec"]["replicas"] == 2
    assert platform.get(f"wheels.{widgets.group}", "round")["spec"]["replicas"] == 1
    widgets.run("scale", widgets.resource, "a", "--replicas=3")
    widgets.run("delete", widgets.crd)


def helm():
    found = ROOT / "target" / "lambda-clients" / "helm" / "helm"
    return str(found) if found.exists() else shutil.which("helm")


@pytest.mark.skipif(not helm(), reason="no helm: tools/clients gets it")
def test_a_chart_that_brings_its_kinds_along(widgets, platform, tmp_path):
    for directory in ("crds", "templates"):
        (tmp_path / "chart" / directory).mkdir(parents=True)
    chart = tmp_path / "chart"
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: widgets\nversion: 0.1.0\n")
    (chart / "crds" / "widgets.yaml").write_text(json.dumps(definition(widgets.group)))
    widget = widgets.widget("{{ .Release.Name }}", color="{{ .Values.color }}")
    (chart / "templates" / "widget.yaml").write_text(json.dumps(widget))
    (chart / "values.yaml").write_text("color: red\n")
    environment = {**platform.environment, "HELM_CACHE_HOME": str(tmp_path), "HELM_CONFIG_HOME": str(tmp_path),
                   "HELM_DATA_HOME": str(tmp_path)}
    run = lambda *words: subprocess.run(
        [helm(), "-n", widgets.namespace, *words], env=environment, check=True, capture_output=True, text=True, timeout=120)
    run("install", "mine", str(chart), "--wait")
    assert widgets.get("mine")["spec"]["color"] == "red"
    run("upgrade", "mine", str(chart), "--set", "color=blue")
    assert widgets.get("mine")["spec"]["color"] == "blue"
    run("uninstall", "mine")
    assert widgets.names() == []
