"""What depends on control groups, where these are version 2 alone, on the kernel of Debian: nothing else is there in the
machine than that kernel, busybox and dory."""

import json
import shutil

import pytest
import vm
from conftest import EXAMPLES, ROOT, TOOLS, pod, wait_for
from test_isolation import (  # noqa: F401: fixtures and tests, run once more with this module's platform
    hostile, program, test_a_memory_bomb_ends_alone, test_another_functions_tmp_is_another, test_bombs_stay_inside,
    test_fails_cleanly, test_tmp_is_as_large_as_configured_and_no_larger,
)
from test_lambda import ROLE, zipped


@pytest.fixture(scope="module")
def platform():
    """A platform in a machine of its own."""
    if not ((vm.PLACE / "vmlinuz").exists() and shutil.which("qemu-system-x86_64")):
        pytest.skip("needs QEMU and Debian's kernel: tools/vm could not get them")
    demo = ROOT / "examples" / "demo"
    files = {"api-service": (EXAMPLES / "api-service").read_bytes(),
             **{path.name: path.read_bytes() for path in demo.glob("*.yaml")}}
    with vm.Machine(files) as machine:
        machine.up()
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        machine.boto3("iam").create_role(RoleName="test", AssumeRolePolicyDocument=json.dumps(trust))
        machine.run("image", "build", "/root/api-service", "-t", "my-registry/api-service:1.0.0")
        machine.shell("mkdir -p /tmp/tools/tmp && cp -a /bin /tmp/tools && rm /tmp/tools/bin/dory")
        machine.run("image", "build", "/tmp/tools", "-t", TOOLS)
        yield machine
        assert machine.run("down").stdout.strip() == "stopped"
        left = machine.shell("find /sys/fs/cgroup -name 'dory*'; grep /var/lib/dory/ /proc/mounts; ip -o link | grep dory")
        assert left.stdout == "", "nothing is left"


def files_of(platform, name):
    """What the control groups of this machine have in their files of this name."""
    lines = platform.shell(f"find /sys/fs/cgroup/dory* -name {name} -exec grep -H . {{}} +").stdout.splitlines()
    return dict(line.split(":", 1) for line in lines)


def test_version_2_alone(platform):
    assert "control groups" in platform.run("doctor").stdout
    assert platform.shell("grep -c cgroup /proc/mounts").stdout.strip() == "1"


def test_limits_of_pods(platform):
    platform.run("deploy", "/root/api-service.yaml")
    limits = json.loads((platform.kubectl("get", "deployment", "api-service", "-o", "json")).stdout)
    limits = limits["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "200m", "memory": "256Mi"}
    assert list(files_of(platform, "memory.max").values()).count(str(256 << 20)) >= 3
    assert list(files_of(platform, "cpu.max").values()).count("20000 100000") >= 3
    top = platform.kubectl("top", "pods").stdout
    assert top.count("api-service-") == 3
    platform.kubectl("delete", "deployment", "api-service")


def test_a_pod_that_eats_its_memory(platform):
    eats = pod("eats", image=TOOLS, command=["sh", "-c", "tail /dev/zero"], resources={"limits": {"memory": "32Mi"}})
    eats["spec"]["restartPolicy"] = "Never"
    platform.apply(eats)

    def ended():
        statuses = platform.get("pod", "eats")["status"].get("containerStatuses", [{"state": {}}])
        return statuses[0]["state"].get("terminated")

    assert wait_for("the end of the pod", ended, 120)["reason"] == "OOMKilled"
    platform.kubectl("delete", "pod", "eats")


def test_an_idle_instance_is_frozen(platform):
    aws = platform.boto3("lambda")
    bootstrap = (EXAMPLES / "bootstrap").read_bytes()
    aws.create_function(FunctionName="hello", Runtime="provided.al2023", Role=ROLE, Handler="x",
                        Code={"ZipFile": zipped(bootstrap=bootstrap)})
    for _ in range(3):
        answer = aws.invoke(FunctionName="hello", Payload=b"{}", LogType="Tail")
        assert "FunctionError" not in answer
        wait_for("it to be frozen", lambda: "1" in files_of(platform, "cgroup.freeze").values())
    aws.delete_function(FunctionName="hello")
