"""HorizontalPodAutoscalers with the real kubectl: pods that use CPU become more, and fewer again."""

import json

import pytest
from conftest import ROOT, deployment, tools_directory, wait_for

DEMO = ROOT / "examples" / "demo"
BURNER = "burner:1"
# An image that is busy for a while after it has started, and idle then.
BURN = "end=$(( $(date +%s) + 50 )); while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done; done; sleep 9999"


@pytest.fixture(scope="module")
def burner(platform):
    platform.run("image", "build", tools_directory(), "-t", BURNER, "--entrypoint", "/bin/sh", "--cmd=-c", f"--cmd={BURN}")
    return BURNER


def autoscaler(name, metrics=None, maximum=5, kind="Deployment", target=None, **spec):
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": target or name},
            "maxReplicas": maximum, **({"metrics": metrics} if metrics else {}), **spec,
        },
    }


def conditions(platform, name, namespace):
    """Status and reason of each condition."""
    found = platform.get("hpa", name, "-n", namespace).get("status", {}).get("conditions", [])
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def replicas(platform, name, namespace):
    return platform.get("deployment", name, "-n", namespace)["spec"]["replicas"]


def test_pods_that_burn_cpu_become_more_within_a_minute_and_fewer_again(platform, namespace, burner):
    manifest = (DEMO / "api-service.yaml").read_text()
    assert manifest.count("my-registry/api-service:1.0.0") == 1
    platform.apply(manifest.replace("my-registry/api-service:1.0.0", burner), "-n", namespace)
    platform.apply((DEMO / "api-service-hpa.yaml").read_text(), "-n", namespace)
    run = lambda *words: platform.kubectl(*words, "-n", namespace).stdout
    wait_for("more than three", lambda: replicas(platform, "api-service", namespace) > 3, seconds=120)
    shown = run("get", "hpa")
    assert "Deployment/api-service" in shown and "%/70%" in shown and "cpu: " in shown
    assert shown.split("\n")[0].split() == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    described = run("describe", "hpa", "api-service-hpa")
    assert "SuccessfulRescale" in described and "resource cpu on pods  (as a percentage of request)" in described
    assert "cpu resource utilization (percentage of request) above target" in described
    status = platform.get("hpa", "api-service-hpa", "-n", namespace)["status"]
    assert status["lastScaleTime"] and status["desiredReplicas"] > 3
    # Down again without the five minutes that it takes if nothing is said.
    behavior = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}
    run("patch", "hpa", "api-service-hpa", "--type=merge", "-p", json.dumps(behavior))
    wait_for("three again", lambda: replicas(platform, "api-service", namespace) == 3, seconds=150)
    assert "All metrics below target" in run("describe", "hpa", "api-service-hpa")


def test_the_example_as_it_stands(platform, namespace):
    for name in ("api-service.yaml", "api-service-hpa.yaml"):
        platform.apply((DEMO / name).read_text(), "-n", namespace)
    active = lambda: conditions(platform, "api-service-hpa", namespace).get("ScalingActive")
    wait_for("a measurement", lambda: active() == ("True", "ValidMetricFound"), seconds=120)
    assert conditions(platform, "api-service-hpa", namespace)["AbleToScale"][0] == "True"
    assert replicas(platform, "api-service", namespace) == 3
    shown = platform.kubectl("get", "hpa", "api-service-hpa", "-n", namespace, "--no-headers").stdout
    assert "cpu: " in shown and "%/70%" in shown and "unknown" not in shown
    # Who is below the minimum is brought there; who is at zero is left alone.
    platform.kubectl("scale", "deployment/api-service", "--replicas=1", "-n", namespace)
    wait_for("the minimum", lambda: replicas(platform, "api-service", namespace) == 3, seconds=120)
    platform.kubectl("scale", "deployment/api-service", "--replicas=0", "-n", namespace)
    wait_for("a rest", lambda: active() == ("False", "ScalingDisabled"), seconds=120)
    assert replicas(platform, "api-service", namespace) == 0


def test_memory_and_single_containers(platform, namespace):
    requests = {"resources": {"requests": {"cpu": "10m", "memory": "1Mi"}}}
    platform.apply(deployment("web", replicas=1, **requests), "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")
    average = {"type": "AverageValue", "averageValue": "1Gi"}
    memory = {"type": "Resource", "resource": {"name": "memory", "target": average}}
    percent = {"type": "Utilization", "averageUtilization": 10_000}
    one = {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "api", "target": percent}}
    platform.apply(autoscaler("web", [memory, one]), "-n", namespace)
    current = lambda: platform.get("hpa", "web", "-n", namespace).get("status", {}).get("currentMetrics") or []
    found = wait_for("both metrics", lambda: current() if len(current()) == 2 else None)
    assert found[0]["resource"]["current"]["averageValue"].endswith("i")
    assert found[1]["containerResource"]["current"]["averageUtilization"] > 0
    assert "/1Gi, memory: " in platform.kubectl("get", "hpa", "web", "-n", namespace).stdout
    # A container that is not there is said to be missing.
    one["containerResource"]["container"] = "other"
    platform.apply(autoscaler("web", [one]), "-n", namespace)
    failed = ("False", "FailedGetContainerResourceMetric")
    wait_for("the failure", lambda: conditions(platform, "web", namespace).get("ScalingActive") == failed)


ELSEWHERE = {
    "Pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}},
    "Object": {"metric": {"name": "m"}, "describedObject": {"kind": "Service", "name": "s"},
               "target": {"type": "Value", "value": "1"}},
    "External": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}},
}


def test_metrics_that_nobody_serves_are_said_to_fail(platform, namespace):
    for kind, source in ELSEWHERE.items():
        name = kind.lower()
        platform.apply(deployment(name, replicas=1), "-n", namespace)
        platform.apply(autoscaler(name, [{"type": kind, name: source}]), "-n", namespace)
    for kind in ELSEWHERE:
        found = lambda: conditions(platform, kind.lower(), namespace).get("ScalingActive")
        wait_for(kind, lambda: found() == ("False", f"FailedGet{kind}Metric"))
    assert platform.kubectl("describe", "hpa", "-n", namespace).stdout.count("metrics API") >= len(ELSEWHERE)


def test_kubectl_autoscale_and_the_older_version(platform, namespace):
    requests = {"resources": {"requests": {"cpu": "10m"}}}
    platform.apply(deployment("web", replicas=1, **requests), "-n", namespace)
    run = lambda *words: platform.kubectl(*words, "-n", namespace).stdout
    assert "web autoscaled" in run("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu-percent=80")
    wait_for("the minimum", lambda: replicas(platform, "web", namespace) == 2)
    assert "/80%" in run("get", "hpa", "web")
    old = json.loads(run("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", "json"))
    assert old["apiVersion"] == "autoscaling/v1" and old["spec"]["targetCPUUtilizationPercentage"] == 80
    # A manifest of the older version, by client-side and by server-side apply.
    spec = {**old["spec"], "targetCPUUtilizationPercentage": 60}
    manifest = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec}
    platform.apply(manifest, "-n", namespace)
    target = lambda: platform.get("hpa", "web", "-n", namespace)["spec"]["metrics"][0]["resource"]["target"]
    assert target()["averageUtilization"] == 60
    assert "unchanged" in platform.apply(manifest, "-n", namespace).stdout
    manifest["spec"]["targetCPUUtilizationPercentage"] = 50
    platform.apply(manifest, "--server-side", "--force-conflicts", "-n", namespace)
    assert target()["averageUtilization"] == 50
    run("delete", "horizontalpodautoscalers.v1.autoscaling", "web")


def test_targets_that_cannot_be_sized(platform, namespace):
    platform.apply(autoscaler("gone"), "-n", namespace)
    platform.apply(autoscaler("odd", kind="Cabbage"), "-n", namespace)
    failed = ("False", "FailedGetScale")
    for name in ("gone", "odd"):
        wait_for(name, lambda: conditions(platform, name, namespace).get("AbleToScale") == failed)
    described = platform.kubectl("describe", "hpa", "-n", namespace).stdout
    assert 'deployments.apps "gone" not found' in described
    assert 'no matches for kind "Cabbage" in group "apps"' in described


def test_two_autoscalers_of_one_target_do_nothing(platform, namespace):
    requests = {"resources": {"requests": {"cpu": "10m"}}}
    platform.apply(deployment("web", replicas=1, **requests), "-n", namespace)
    for name in ("one", "two"):
        platform.apply(autoscaler(name, target="web"), "-n", namespace)
    ambiguous = ("False", "AmbiguousSelector")
    found = lambda: [conditions(platform, name, namespace).get("ScalingActive") for name in ("one", "two")]
    wait_for("the quarrel", lambda: found() == [ambiguous, ambiguous], seconds=120)


def test_what_is_wrong_is_named(platform):
    slow = [{"type": "Pods", "value": 1, "periodSeconds": 9999}]
    for spec, said in (
        ({"maximum": 0}, "spec.maxReplicas: Required value: must be set and greater than 0"),
        ({"minReplicas": 9}, "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"),
        ({"metrics": [{"type": "Resource"}]}, "spec.metrics[0].resource: Required value"),
        ({"behavior": {"scaleUp": {"policies": slow}}},
         "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 9999: must be less than or equal to 1800"),
        ({"nonsense": 1}, 'unknown field "spec.nonsense"'),
    ):
        refused = platform.apply(autoscaler("wrong", **spec), check=False)
        assert refused.returncode != 0 and said in refused.stderr, refused.stderr


def test_deploy_applies_one(platform, namespace):
    said = platform.run("deploy", DEMO / "api-service-hpa.yaml", "-n", namespace).stdout
    assert "horizontalpodautoscaler.autoscaling/api-service-hpa created" in said
