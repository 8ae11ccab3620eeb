"""Jobs, as people use them with the real kubectl."""

import json
import re

import pytest
from conftest import TOOLS, wait_for


def job(name, script, **spec):
    """A Job of a shell script."""
    container = {"name": "main", "image": TOOLS, "command": ["sh", "-c", script]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": pod}, **spec},
    }


def kubectl(platform, namespace):
    return lambda *words, **more: platform.kubectl("-n", namespace, *words, **more)


def conditions(job):
    return {one["type"]: one.get("reason") for one in job["status"].get("conditions", []) if one["status"] == "True"}


def ended(platform, namespace, name, how="Complete", seconds=120):
    """The Job once it has that condition."""
    seen = lambda: platform.get("job", name, "-n", namespace)
    return wait_for(f"{name} {how}", lambda: (found := seen()) and how in conditions(found) and found, seconds)


def test_a_job_from_the_command_line(platform, namespace):
    run = kubectl(platform, namespace)
    assert "job.batch/hello created" in run("create", "job", "hello", f"--image={TOOLS}", "--", "echo", "done").stdout
    run("wait", "--for=condition=complete", "job/hello", "--timeout=120s")
    assert run("logs", "job/hello").stdout == "done\n"
    shown = run("get", "jobs", "-o", "wide").stdout.splitlines()
    assert shown[0].split()[:4] == ["NAME", "STATUS", "COMPLETIONS", "DURATION"]
    assert re.match(rf"hello +Complete +1/1 +\d+s +\d+s +hello +{TOOLS} +batch.kubernetes.io/controller-uid=", shown[1])
    described = run("describe", "job", "hello").stdout
    assert re.search(r"Pods Statuses: +0 Active.* / 1 Succeeded / 0 Failed", described)
    assert "SuccessfulCreate" in described and "Completed" in described
    seen = platform.get("job", "hello", "-n", namespace)
    assert seen["status"]["succeeded"] == 1 and "uncountedTerminatedPods" in seen["status"]
    pods = platform.get("pods", "-l", "job-name=hello", "-n", namespace)["items"]
    assert [one["status"]["phase"] for one in pods] == ["Succeeded"]
    assert "finalizers" not in pods[0]["metadata"]
    run("delete", "job", "hello", "--timeout=120s")
    wait_for("no pods", lambda: not platform.get("pods", "-n", namespace)["items"])


def test_it_is_explained_and_listed(platform):
    assert "completions" in platform.kubectl("explain", "job.spec").stdout
    assert "podFailurePolicy" in platform.kubectl("explain", "job.spec").stdout
    listed = platform.kubectl("api-resources", "--api-group=batch").stdout
    assert re.search(r"jobs +batch/v1 +true +Job", listed)


def test_a_job_is_applied_again_and_hardly_changes(platform, namespace):
    manifest = job("again", "true", backoffLimit=2)
    platform.apply(manifest, "-n", namespace)
    ended(platform, namespace, "again")
    assert "unchanged" in platform.apply(manifest, "-n", namespace).stdout
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1"
    refused = platform.apply(manifest, "-n", namespace, check=False)
    assert refused.returncode != 0 and "spec.template: Invalid value" in refused.stderr
    assert "field is immutable" in refused.stderr


def test_many_pods_some_at_a_time(platform, namespace):
    platform.apply(job("many", "sleep 0.3", completions=7, parallelism=3), "-n", namespace)
    most = 0

    def complete():
        nonlocal most
        pods = platform.get("pods", "-n", namespace)["items"]
        most = max(most, sum(one["status"]["phase"] in ("Pending", "Running") for one in pods))
        return "Complete" in conditions(platform.get("job", "many", "-n", namespace))

    wait_for("all seven", complete)
    assert platform.get("job", "many", "-n", namespace)["status"]["succeeded"] == 7
    assert len(platform.get("pods", "-n", namespace)["items"]) == 7 and 1 <= most <= 3


def test_indexed_pods_know_their_index(platform, namespace):
    script = 'echo "$JOB_COMPLETION_INDEX $(hostname)"'
    platform.apply(job("shards", script, completions=3, parallelism=3, completionMode="Indexed"), "-n", namespace)
    seen = ended(platform, namespace, "shards")
    assert seen["status"]["completedIndexes"] == "0-2"
    run = kubectl(platform, namespace)
    for index in range(3):
        selector = f"batch.kubernetes.io/job-completion-index={index}"
        assert run("logs", "-l", selector).stdout == f"{index} shards-{index}\n"


def test_a_failing_job_gives_up_and_says_why(platform, namespace):
    platform.apply(job("broken", "exit 3", backoffLimit=0), "-n", namespace)
    seen = ended(platform, namespace, "broken", "Failed")
    assert conditions(seen) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert seen["status"]["failed"] == 1
    run = kubectl(platform, namespace)
    assert "BackoffLimitExceeded" in run("describe", "job", "broken").stdout
    refused = run("wait", "--for=condition=complete", "job/broken", "--timeout=1s", check=False)
    assert refused.returncode != 0


def test_the_next_pod_comes_after_ten_seconds(platform, namespace):
    script = 'test -e /shared/second || { touch /shared/second; exit 1; }'
    manifest = job("stumble", script)
    pod = manifest["spec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"] = [{"name": "shared", "mountPath": "/shared"}]
    shared = platform.data / f"shared-{namespace}"
    pod["volumes"] = [{"name": "shared", "hostPath": {"path": str(shared), "type": "DirectoryOrCreate"}}]
    platform.apply(manifest, "-n", namespace)
    seen = ended(platform, namespace, "stumble", seconds=120)
    assert (seen["status"]["failed"], seen["status"]["succeeded"]) == (1, 1)
    pods = platform.get("pods", "-n", namespace)["items"]
    times = {one["status"]["phase"]: one for one in pods}
    ended_at = times["Failed"]["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    began_at = times["Succeeded"]["metadata"]["creationTimestamp"]
    second = lambda text: sum(int(part) * unit for part, unit in zip(text[11:19].split(":"), (3600, 60, 1)))
    assert 9 <= (second(began_at) - second(ended_at)) % 86400 <= 14


def test_restarts_in_place_count(platform, namespace):
    manifest = job("restless", "exit 1", backoffLimit=1)
    manifest["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    platform.apply(manifest, "-n", namespace)
    seen = ended(platform, namespace, "restless", "Failed", seconds=120)
    assert conditions(seen)["Failed"] == "BackoffLimitExceeded"
    wait_for("its pod to be gone", lambda: not platform.get("pods", "-n", namespace)["items"])


def test_a_policy_for_failed_pods(platform, namespace):
    rules = [{"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}}]
    platform.apply(job("policed", "exit 42", podFailurePolicy={"rules": rules}), "-n", namespace)
    seen = ended(platform, namespace, "policed", "Failed")
    assert conditions(seen)["Failed"] == "PodFailurePolicy"
    assert "failed with exit code 42 matching FailJob rule at index 0" in json.dumps(seen["status"]["conditions"])


def test_indexes_fail_by_themselves(platform, namespace):
    script = "test $JOB_COMPLETION_INDEX != 1"
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    platform.apply(job("partly", script, **spec), "-n", namespace)
    seen = ended(platform, namespace, "partly", "Failed")
    assert conditions(seen)["Failed"] == "FailedIndexes"
    assert (seen["status"]["completedIndexes"], seen["status"]["failedIndexes"]) == ("0,2", "1")


def test_a_leader_that_succeeds_is_enough(platform, namespace):
    script = "test $JOB_COMPLETION_INDEX = 0 || sleep 600"
    policy = {"rules": [{"succeededIndexes": "0"}]}
    spec = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "successPolicy": policy}
    platform.apply(job("led", script, **spec), "-n", namespace)
    seen = ended(platform, namespace, "led")
    assert conditions(seen)["Complete"] == "SuccessPolicy"
    assert seen["status"]["completedIndexes"] == "0" and "failed" not in seen["status"]


def test_a_deadline_ends_it(platform, namespace):
    platform.apply(job("slow", "sleep 600", activeDeadlineSeconds=1), "-n", namespace)
    assert conditions(ended(platform, namespace, "slow", "Failed"))["Failed"] == "DeadlineExceeded"
    wait_for("its pod to be gone", lambda: not platform.get("pods", "-n", namespace)["items"])


def test_suspended_and_resumed(platform, namespace):
    platform.apply(job("later", "echo now", suspend=True), "-n", namespace)
    ended(platform, namespace, "later", "Suspended")
    assert not platform.get("pods", "-n", namespace)["items"]
    run = kubectl(platform, namespace)
    run("patch", "job", "later", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    run("wait", "--for=condition=complete", "job/later", "--timeout=120s")


def test_it_goes_by_itself(platform, namespace):
    platform.apply(job("brief", "true", ttlSecondsAfterFinished=1), "-n", namespace)
    gone = lambda kind: not platform.get(kind, "-n", namespace)["items"]
    wait_for("Job and pod to be gone", lambda: gone("jobs") and gone("pods"))


def test_what_is_refused(platform, namespace):
    refused = lambda manifest: platform.apply(manifest, "-n", namespace, check=False).stderr
    always = job("bad", "true")
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    assert 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"' in refused(always)
    assert "spec.completions: Required value: when completion mode is Indexed" in refused(
        job("bad", "true", completionMode="Indexed", parallelism=1))
    assert "spec.parallelism: Invalid value: -1" in refused(job("bad", "true", parallelism=-1))
    assert "spec.scheduling: Forbidden" in refused(job("bad", "true", scheduling={}))
    assert "unknown field" in refused(job("bad", "true", parallel=3))


@pytest.mark.kubectl(24)
def test_namespaces_with_jobs_go(platform):
    platform.kubectl("create", "namespace", "busy")
    platform.apply(job("long", "sleep 600", completions=3, parallelism=3), "-n", "busy")
    wait_for("three pods", lambda: len(platform.get("pods", "-n", "busy")["items"]) == 3)
    platform.kubectl("delete", "namespace", "busy", "--timeout=120s")


def test_dory_deploys_and_awaits_it(platform, namespace, tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(job("deployed", "sleep 0.2; echo ok", completions=2)))
    said = platform.run("deploy", file, "--namespace", namespace).stdout
    assert "job.batch/deployed created" in said and "job.batch/deployed complete: 2 of 2 in" in said
    assert platform.run("logs", "job/deployed", "--namespace", namespace).stdout.count("ok") == 2
    file.write_text(json.dumps(job("failing", "exit 1", backoffLimit=0)))
    failed = platform.run("deploy", file, "--namespace", namespace, check=False)
    assert failed.returncode != 0
    assert "job failing failed: Job has reached the specified backoff limit (BackoffLimitExceeded)" in failed.stderr
