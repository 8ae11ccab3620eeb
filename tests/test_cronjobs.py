"""CronJobs, as people use them with the real kubectl."""

import re

import pytest
from conftest import TOOLS, wait_for
from test_jobs import kubectl


def cron_job(name, schedule, script, **spec):
    """A CronJob of a shell script."""
    container = {"name": "main", "image": TOOLS, "command": ["sh", "-c", script]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec},
    }


@pytest.mark.kubectl(21)
def test_a_cron_job_from_the_command_line(platform, namespace):
    run = kubectl(platform, namespace)
    made = run("create", "cronjob", "hello", f"--image={TOOLS}", "--schedule=*/5 0 * * *", "--", "echo", "hi").stdout
    assert "cronjob.batch/hello created" in made
    shown = run("get", "cj").stdout.splitlines()
    assert re.match(r"NAME +SCHEDULE +TIMEZONE +SUSPEND +ACTIVE +LAST SCHEDULE +AGE", shown[0])
    assert re.match(r"hello +\*/5 0 \* \* \* +<none> +False +0 +<none>", shown[1])
    assert "job.batch/now created" in run("create", "job", "now", "--from=cronjob/hello").stdout
    run("wait", "--for=condition=complete", "job/now", "--timeout=120s")
    assert run("logs", "job/now").stdout == "hi\n"
    owner = platform.get("job", "now", "-n", namespace)["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("CronJob", "hello")
    described = run("describe", "cronjob", "hello").stdout
    assert "Concurrency Policy:" in described and "Schedule:" in described
    wait_for("its success to be seen",
             lambda: "lastSuccessfulTime" in platform.get("cronjob", "hello", "-n", namespace).get("status", {}))
    run("delete", "cronjob", "hello", "--timeout=120s")
    wait_for("its Jobs to go with it", lambda: not platform.get("jobs", "-n", namespace)["items"])


def test_its_time_comes(platform, namespace):
    platform.apply(cron_job("tick", "@every 2s", "echo tick"), "-n", namespace)
    seen = lambda: platform.get("cronjob", "tick", "-n", namespace)["status"]
    wait_for("its first success", lambda: "lastSuccessfulTime" in seen())
    jobs = platform.get("jobs", "-n", namespace)["items"]
    assert re.fullmatch(r"tick-\d+", jobs[0]["metadata"]["name"])
    minute = int(jobs[0]["metadata"]["name"].removeprefix("tick-"))
    stamp = jobs[0]["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp.endswith("Z") and minute % 60 == int(stamp[14:16])
    run = kubectl(platform, namespace)
    wait_for("the event", lambda: "SuccessfulCreate" in run("describe", "cronjob", "tick").stdout)
    run("patch", "cronjob", "tick", "-p", '{"spec":{"suspend":true}}')
    assert "True" in run("get", "cronjob", "tick").stdout


def test_what_is_refused(platform, namespace):
    refused = lambda manifest: platform.apply(manifest, "-n", namespace, check=False).stderr
    assert 'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61' in refused(
        cron_job("bad", "61 * * * *", "true"))
    assert "spec.timeZone: Invalid value" in refused(cron_job("bad", "* * * * *", "true", timeZone="Mars/Olympus"))
    assert "spec.concurrencyPolicy: Unsupported value" in refused(
        cron_job("bad", "* * * * *", "true", concurrencyPolicy="Sometimes"))
