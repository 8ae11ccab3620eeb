"""The process around the platform: start, faults, stop, and what is left behind."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from conftest import DORY, TOOLS, Platform, deployment, shell, tools_directory, wait_for


@pytest.fixture
def own(make_platform):
    """A platform that the test may break."""
    platform = make_platform()
    platform.run("image", "build", tools_directory(), "-t", TOOLS)
    return platform


def processes():
    """The command line of every process but this one."""
    lines = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if folder.name != str(os.getpid()):
            lines.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return lines


def host_state(word):
    """Everything on this host that carries the word: mounts, links, nftables, cgroups, processes, and stray files."""
    run = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    groups = [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("*/dory*")]
    groups += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("dory*")]
    found = {
        "mounts": pathlib.Path("/proc/self/mountinfo").read_text().splitlines(),
        "links": [line.split(": ")[1] for line in run("ip", "-o", "link")],
        "nftables": run("nft", "list", "tables"),
        "cgroups": groups,
        "processes": processes(),
        "files": [str(path) for folder in ("/run", "/tmp", "/var/run", "/dev/shm") for path in pathlib.Path(folder).glob("*")],
    }
    return {name: sorted(line for line in lines if word in line) for name, lines in found.items()}


def test_nothing_is_left_after_down(own):
    before = host_state("dory")
    data = str(own.data)
    own.apply(deployment("web", image=TOOLS, command=["sleep", "600"], replicas=2))
    own.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    (pathlib.Path(data) / "hello").mkdir()
    bootstrap = pathlib.Path(data) / "hello" / "bootstrap"
    bootstrap.write_text("#!/bin/sh\nexec sleep 600\n")
    bootstrap.chmod(0o755)
    own.run("deploy", str(bootstrap.parent), "--name", "hello")
    assert any(data in line for line in host_state(data)["processes"])
    own.down()
    assert host_state(data) == {"mounts": [], "links": [], "nftables": [], "cgroups": [], "processes": [],
                                "files": [data] if data.startswith("/tmp/") else []}
    after = host_state("dory")
    # Other platforms may run, start and stop beside this one: its link, table and cgroups are among what is gone.
    for name in ("links", "nftables", "cgroups"):
        assert set(before[name]) - set(after[name]), name


@pytest.mark.kubectl(31)
def test_pods_outlive_a_kill_and_are_adopted(own):
    # Restarts once, so that there is a count to keep; then counts lines.
    script = "[ -f /state/again ] || { touch /state/again; exit 1; }; i=0; while true; do i=$((i+1)); echo $i; sleep 0.2; done"
    one = shell("counter", script, volumeMounts=[{"name": "work", "mountPath": "/state"}])
    one["spec"]["volumes"] = [{"name": "work", "emptyDir": {}}]
    own.apply(one)
    status = lambda: own.get("pod", "counter")["status"].get("containerStatuses", [{}])[0]
    wait_for("a restart and some lines", lambda: status().get("restartCount") == 1 and own.kubectl(
        "logs", "counter", check=False).stdout.count("\n") > 5, seconds=120)
    container, address = status()["containerID"], own.get("pod", "counter")["status"]["podIP"]
    os.kill(own.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in own.run("status", check=False).stdout)
    own.up()
    wait_for("the pod to be adopted", lambda: status()["ready"])
    assert (status()["containerID"], status()["restartCount"]) == (container, 1)
    assert own.get("pod", "counter")["status"]["podIP"] == address
    lines = lambda: own.kubectl("logs", "counter").stdout.split()
    seen = len(lines())
    wait_for("more lines", lambda: len(lines()) > seen)
    all_lines = lines()
    assert all_lines == [str(n + 1) for n in range(len(all_lines))]
    assert own.kubectl("exec", "counter", "--", "cat", "/state/again").returncode == 0


@pytest.mark.kubectl(23)
def test_a_pod_that_ends_while_the_platform_is_down(own):
    one = shell("brief", "sleep 2; exit 4")
    one["spec"]["restartPolicy"] = "Never"
    own.apply(one)
    own.kubectl("wait", "--for=condition=Ready", "pod/brief", "--timeout=120s")
    os.kill(own.pid, signal.SIGKILL)
    wait_for("the pod to end", lambda: not any("sleep 2; exit 4" in line for line in processes()))
    own.up()
    own.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/brief", "--timeout=120s")
    assert own.get("pod", "brief")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4


def test_down_after_a_kill_leaves_nothing_either(own):
    own.apply(shell("stray", "sleep 600"))
    own.kubectl("wait", "--for=condition=Ready", "pod/stray", "--timeout=120s")
    os.kill(own.pid, signal.SIGKILL)
    wait_for("the lock to go", lambda: "not running" in own.run("status", check=False).stdout)
    own.down()
    left = host_state(str(own.data))
    assert (left["mounts"], left["processes"], left["cgroups"]) == ([], [], [])


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = Platform(tmp_path).run("up", "--detach", "--api-port", str(port), check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert f"port {port} for the Kubernetes API is already taken" in done.stderr and "--api-port" in done.stderr


def test_a_data_directory_in_use(own):
    done = own.run("up", "--detach", "--api-port", "0", check=False)
    assert done.returncode == 1 and f"in use by process {own.pid}" in done.stderr


def test_a_data_directory_that_cannot_be_read(tmp_path):
    file = tmp_path / "a-file"
    file.write_text("")
    done = Platform(file).run("up", "--detach", check=False)
    assert done.returncode == 1 and "--data-dir" in done.stderr
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "state.db").write_bytes(b"not a database " * 1000)
    ports = [word for door in ("api", "aws", "http", "https") for word in (f"--{door}-port", "0")]
    done = Platform(damaged).run("up", "--detach", *ports, check=False)
    assert done.returncode == 1 and "state" in done.stderr
    Platform(damaged).run("down", check=False)


def test_without_root_it_says_so(tmp_path):
    binary = tmp_path / "dory"
    shutil.copy(DORY, binary)
    tmp_path.chmod(0o777)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "--data-dir",
                           tmp_path / "data", "up"], capture_output=True, text=True)
    assert done.returncode == 1 and "sudo dory up" in done.stderr


def test_commands_without_a_platform_say_how_to_start_one(tmp_path):
    for command in (["env"], ["deploy", "/etc/hostname"], ["logs", "hello"]):
        done = Platform(tmp_path / "none").run(*command, check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "dory up" in Platform(tmp_path / "none").run("env", check=False).stderr


def test_a_full_disk_loses_nothing_and_recovers():
    disk = tempfile.mkdtemp(prefix="dory-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
    platform = Platform(pathlib.Path(disk) / "data")
    try:
        platform.up()
        platform.kubectl("create", "configmap", "before", "--from-literal=a=1")
        filler = pathlib.Path(disk) / "filler"
        # Unbuffered: what does not fit must not be tried again when the file is closed.
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536):
                    pass
            except OSError:
                pass
        refused = lambda: platform.kubectl("create", "configmap", "x" * 20, "--from-literal=a=" + "y" * 100_000, check=False)
        wait_for("a refusal", lambda: refused().returncode != 0)
        assert platform.get("configmap", "before")["data"] == {"a": "1"}
        filler.unlink()
        wait_for("writes to work again", lambda: platform.kubectl(
            "create", "configmap", "after", "--from-literal=a=2", check=False).returncode == 0)
        os.kill(platform.pid, signal.SIGKILL)
        wait_for("the lock to go", lambda: "not running" in platform.run("status", check=False).stdout)
        platform.up()
        assert platform.get("configmap", "before")["data"] == {"a": "1"}
        assert platform.get("configmap", "after")["data"] == {"a": "2"}
    finally:
        platform.run("down", check=False)
        subprocess.run(["umount", "-l", disk])
        os.rmdir(disk)
