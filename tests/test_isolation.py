"""What a hostile function tries, and how each attempt ends. The program is tests/hostile/bootstrap.c."""

import io
import json
import pathlib
import socket
import stat
import subprocess
import zipfile

import botocore.exceptions
import pytest
from conftest import ROOT
from test_lambda import ROLE, zipped

LIMIT_MB = 128
TMP_MB = 600


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The hostile program, as the zip of a function."""
    built = tmp_path_factory.mktemp("hostile") / "bootstrap"
    source = ROOT / "tests" / "hostile" / "bootstrap.c"
    subprocess.run(["cc", "-static", "-O1", "-o", built, source], check=True)
    return zipped(bootstrap=built.read_bytes())


@pytest.fixture(scope="module")
def hostile(platform, program):
    """Calls a hostile function; gives what it says of its attempt."""
    client = platform.boto3("lambda")
    names = ["hostile", "victim"]
    for name in names:
        client.create_function(
            FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="bootstrap", Code={"ZipFile": program},
            Timeout=60, MemorySize=LIMIT_MB, EphemeralStorage={"Size": TMP_MB},
            Environment={"Variables": {"SECRET": f"{name}-secret"}},
        )

    def call(attempt, argument="", function="hostile"):
        answer = client.invoke(FunctionName=function, Payload=json.dumps({"try": attempt, "with": argument}))
        return json.loads(answer["Payload"].read())

    yield call
    for name in names:
        client.delete_function(FunctionName=name)


# What is tried, with what, and the errors that it may end with. `EPERM` is the filter of system calls or a missing
# capability, `EROFS` the read-only root, `ENOENT` what is not there at all, `ENOSYS` a call that does not exist in here.
ATTEMPTS = [
    # Mounts and roots.
    ("mount-tmpfs", "", "EPERM"),
    ("mount-bind", "", "EPERM"),
    ("mount-proc", "", "EPERM"),
    ("remount-root", "", "EPERM"),
    ("umount-proc", "", "EPERM"),
    ("pivot-root", "", "EPERM"),
    ("chroot", "", "EPERM"),
    ("fsopen", "", "EPERM"),
    ("open-tree", "", "EPERM"),
    ("move-mount", "", "EPERM"),
    # Namespaces.
    ("unshare-user", "", "EPERM"),
    ("unshare-net", "", "EPERM"),
    ("clone-user", "", "EPERM"),
    ("clone3-mount", "", "ENOSYS"),
    ("setns", "", "EPERM"),
    # Privileges.
    ("setuid-root", "", "EPERM"),
    ("setgroups", "", "EPERM"),
    ("set-user-id-program", "", "EPERM"),
    ("capset", "", "EPERM"),
    ("allow-new-privileges", "", "EINVAL"),
    ("nicer", "", "EPERM EACCES"),
    ("real-time", "", "EPERM"),
    ("raise-descriptors", "", "EPERM"),
    # Other processes.
    ("ptrace-init", "", "EPERM"),
    ("read-memory", "", "EPERM"),
    ("pidfd-getfd", "", "EPERM EBADF"),
    ("kcmp", "", "EPERM"),
    # Parts of the kernel that nobody here needs.
    ("add-key", "", "EPERM"),
    ("keyctl", "", "EPERM"),
    ("request-key", "", "EPERM"),
    ("raw-socket", "", "EPERM"),
    ("packet-socket", "", "EPERM"),
    ("vsock", "", "EPERM"),
    ("kernel-crypto", "", "EPERM"),
    ("bpf", "", "EPERM"),
    ("perf", "", "EPERM"),
    ("userfaultfd", "", "EPERM"),
    ("io-uring", "", "EPERM"),
    ("load-module", "", "EPERM"),
    ("kexec", "", "EPERM"),
    ("reboot", "", "EPERM"),
    ("swapon", "", "EPERM"),
    ("acct", "", "EPERM"),
    ("syslog", "", "EPERM"),
    ("set-clock", "", "EPERM"),
    ("set-time-of-day", "", "EPERM"),
    ("set-host-name", "", "EPERM"),
    ("iopl", "", "EPERM"),
    ("personality", "", "EPERM"),
    ("open-by-handle", "", "EPERM"),
    ("fanotify", "", "EPERM"),
    ("quota", "", "EPERM"),
    ("device-node", "", "EPERM"),
    # Files of the host, of the kernel and of the platform.
    ("open-read", "/etc/shadow", "ENOENT"),
    ("open-read", "/root/.ssh", "ENOENT"),
    ("open-read", "/dev/mem", "ENOENT"),
    ("open-read", "/dev/kmsg", "ENOENT"),
    ("open-read", "/dev/vda", "ENOENT"),
    ("open-read", "/proc/1/root/etc/shadow", "ENOENT"),
    ("open-write", "/var/task/x", "EROFS"),
    ("open-write", "/var/runtime/x", "EROFS"),
    ("open-write", "/etc/passwd", "EROFS EACCES"),
    ("open-write", "/usr/bin/x", "EROFS"),
    ("open-write", "/x", "EROFS"),
    ("open-write", "/dev/x", "EROFS EACCES"),
    ("write", "/proc/sys/kernel/core_pattern", "EROFS EACCES"),
    ("write", "/proc/sys/vm/overcommit_memory", "EROFS EACCES"),
    ("write", "/proc/sysrq-trigger", "EROFS EACCES ENOENT"),
    ("write", "/proc/self/uid_map", "EPERM EACCES EROFS"),
    ("oom-score", "", "EACCES EPERM"),
    ("write", "/sys/kernel/uevent_helper", "ENOENT EROFS EACCES"),
    ("write", "/sys/fs/cgroup/cgroup.procs", "ENOENT EROFS EACCES"),
    ("write", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "ENOENT EROFS EACCES"),
    ("link", "/etc/shadow", "ENOENT"),
    ("link", "/proc/1/environ-of-nobody", "ENOENT"),
]


@pytest.mark.parametrize(("attempt", "argument", "errors"), ATTEMPTS)
def test_fails_cleanly(hostile, attempt, argument, errors):
    assert hostile(attempt, argument) in errors.split()


def test_sees_only_itself(hostile, platform):
    assert hostile("processes") == "1"
    assert hostile("kill", str(platform.pid)) == "ESRCH"
    assert hostile("environment-of", str(platform.pid)) == "ENOENT"
    assert hostile("open-read", str(platform.data)) == "ENOENT"
    assert hostile("status", "CapBnd") == "0000000000000000"
    assert hostile("status", "NoNewPrivs") == "1"
    assert hostile("status", "Seccomp") == "2"


def test_another_functions_tmp_is_another(hostile):
    assert hostile("tmp-mark", "mine") == "written"
    assert hostile("tmp-mark", "again") == "mine", "kept while the instance is warm"
    assert hostile("tmp-mark", "theirs", function="victim") == "written"


def test_no_route_to_the_platform(hostile, platform):
    """Not to the doors, not to other services of the host, not to metadata; each refused at once or unreachable."""
    ports = platform.endpoints
    gateway = bridge_address(platform)
    listener = socket.create_server(("0.0.0.0", 0))
    listener.setblocking(False)
    try:
        for host in ("127.0.0.1", gateway):
            for door in ("api_port", "http_port", "https_port"):
                assert hostile("connect", f"{host}:{ports[door]}") != "ok", (host, door)
            assert hostile("connect", f"{host}:{listener.getsockname()[1]}") != "ok", host
        assert hostile("connect", f"{gateway}:{ports['aws_port']}") != "ok"
        assert hostile("connect", "169.254.169.254:80") != "ok"
        with pytest.raises(BlockingIOError):
            listener.accept()
    finally:
        listener.close()


def bridge_address(platform):
    """The host's address on the network of this platform's instances, as the cluster's own DNS server is told."""
    routes = json.loads(subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True, text=True).stdout)
    owner = "dory"
    found = [
        address["local"]
        for link in routes if link["ifname"].startswith(owner)
        for address in link["addr_info"] if address["family"] == "inet"
    ]
    assert found, "the platform has a bridge"
    return found[0]


def test_bombs_stay_inside(hostile, platform):
    count = lambda said: int(said.split(" after ")[1].split()[0])  # noqa: E731
    forks = hostile("fork-bomb")
    assert forks.startswith("EAGAIN") and count(forks) < 1024, forks
    descriptors = hostile("descriptors")
    assert descriptors.startswith("EMFILE") and count(descriptors) <= 1024, descriptors
    inodes = hostile("inodes")
    assert inodes.startswith("ENOSPC"), inodes
    # The platform and a function beside it go on.
    assert platform.get("namespaces", "default")["kind"] == "Namespace"
    assert hostile("status", "Seccomp", function="victim") == "2"


def test_tmp_is_as_large_as_configured_and_no_larger(hostile):
    """Larger than the function's memory: files are not memory."""
    said = hostile("fill-tmp")
    assert said.startswith("ENOSPC") and TMP_MB * 0.9 <= int(said.split()[2]) <= TMP_MB, said
    assert hostile("status", "Seccomp") == "2"


def test_a_memory_bomb_ends_alone(hostile):
    died = hostile("eat-memory")
    assert died["errorType"] == "Runtime.ExitError" and "signal: killed" in died["errorMessage"], died
    assert hostile("status", "Seccomp") == "2", "the next invocation has a fresh instance"
    assert hostile("status", "Seccomp", function="victim") == "2"


def test_archives_that_reach_out_are_refused(platform):
    client = platform.boto3("lambda")

    def archive(name, mode, content):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            file.writestr(info, content)
        return buffer.getvalue()

    cases = {
        "a path upwards": archive("../../escape", stat.S_IFREG | 0o644, "x"),
        "an absolute path": archive("/tmp/escape", stat.S_IFREG | 0o644, "x"),
        "a device": archive("null", stat.S_IFCHR | 0o666, ""),
        "a pipe": archive("pipe", stat.S_IFIFO | 0o666, ""),
        "a link to a file of the host": archive("shadow", stat.S_IFLNK | 0o777, "/etc/shadow"),
        "a link upwards": archive("up", stat.S_IFLNK | 0o777, "../../.."),
    }
    for what, content in cases.items():
        with pytest.raises(botocore.exceptions.ClientError, match="cannot be unpacked") as refused:
            client.create_function(
                FunctionName="reaches-out", Runtime="provided.al2023", Role=ROLE, Handler="bootstrap",
                Code={"ZipFile": content},
            )
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException", what
    assert not pathlib.Path("/tmp/escape").exists()
