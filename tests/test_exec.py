"""exec, attach and port-forward, over WebSocket and over SPDY, with the kubectl of this machine and with Debian's old one
(`target/kubectl-old`, which `tools/setup` brings).

kubectl 1.29 to 1.33 loses messages of a WebSocket that come before its streams are there, so dory has it speak SPDY for exec
and attach. Under another name it speaks WebSocket: where nothing is said to it before it has said something, it loses nothing."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import termios
import threading
import urllib.request

import pytest
from conftest import ROOT, shell

OLD = ROOT / "target" / "kubectl-old" / "usr" / "bin" / "kubectl"

# How the newer kubectl is made to speak SPDY.
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


# What the newer kubectl is called to speak WebSocket.
RENAMED = "client"


def clients(*more):
    """The ways to speak to the node that this machine has: a program and its settings."""
    ways = [pytest.param(("kubectl", {}), id="default"), pytest.param(("kubectl", SPDY), id="spdy"), *more]
    missing = pytest.mark.skipif(not OLD.exists(), reason="no target/kubectl-old: run tools/setup")
    return [*ways, pytest.param((str(OLD), {}), id="old", marks=missing)]


speaks_first = pytest.mark.parametrize(
    "kubectl", clients(pytest.param((RENAMED, {}), id="websocket")), indirect=True)


@pytest.fixture(params=clients())
def kubectl(request, platform, tmp_path):
    """Runs one of the clients."""
    program, settings = request.param
    if program == RENAMED:
        program = tmp_path / RENAMED
        program.symlink_to(shutil.which("kubectl"))

    def start(*arguments, **options):
        environment = {**platform.environment, **settings}
        return subprocess.Popen(
            [program, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **options)

    def run(*arguments, data=b"", check=True):
        process = start(*arguments)
        out, err = process.communicate(data, timeout=60)
        assert not check or process.returncode == 0, err.decode()
        return process.returncode, out, err.decode()

    run.start = start
    run.program = program
    run.environment = lambda: {**platform.environment, **settings}
    return run


@pytest.fixture(scope="module")
def box(platform):
    """A pod with a shell and a small HTTP server on its loopback alone."""
    platform.kubectl("create", "namespace", "exec")
    page = "mkdir -p /tmp/www && echo hello > /tmp/www/index.html && httpd -f -p 127.0.0.1:8081 -h /tmp/www"
    platform.apply(shell("box", f"{page} & while :; do echo tick; sleep 0.2; done"), "-n", "exec")
    platform.kubectl("wait", "--for=condition=Ready", "pod/box", "-n", "exec", "--timeout=120s")
    yield "box"
    platform.kubectl("delete", "namespace", "exec", "--wait=false")


def test_streams_and_exit_codes(kubectl, box):
    code, out, err = kubectl("exec", box, "-n", "exec", "--", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (code, out) == (3, b"out\n") and err.startswith("err\n") and "exit code 3" in err
    assert kubectl("exec", box, "-n", "exec", "--", "true") == (0, b"", "")
    code, _, err = kubectl("exec", box, "-n", "exec", "--", "no-such-command", check=False)
    assert code != 0 and "no-such-command" in err


def test_no_output_is_lost_beside_load(platform, box):
    """Many short commands at once: what each says comes whole, and kubectl has nothing to complain about."""
    wrong = []

    def ask(asker):
        for number in range(20):
            word = f"{asker}-{number}"
            done = platform.kubectl("exec", box, "-n", "exec", "--", "echo", word, check=False)
            if (done.returncode, done.stdout, done.stderr) != (0, f"{word}\n", ""):
                wrong.append((word, done.returncode, done.stdout, done.stderr))

    threads = [threading.Thread(target=ask, args=(asker,)) for asker in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


@pytest.mark.parametrize("agent, answer", [
    ("kubectl/v1.29.0 (linux/amd64) kubernetes/3f7a50f", 400), ("kubectl/v1.33.4 (linux/amd64) kubernetes/74cdb42", 400),
    ("kubectl/v1.34.0 (linux/amd64) kubernetes/f28b4c9", 101), ("Helm/3.17.0", 101)])
def test_who_loses_output_over_websocket_is_sent_to_spdy(platform, box, agent, answer):
    connection = platform.connections()()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
               "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "v5.channel.k8s.io", "User-Agent": agent}
    connection.request("GET", f"/api/v1/namespaces/exec/pods/{box}/exec?command=true&stdout=true", headers=upgrade)
    assert connection.getresponse().status == answer
    connection.close()


@speaks_first
def test_input_comes_back_whole(kubectl, box):
    data = os.urandom(3 << 20)
    _, out, _ = kubectl("exec", "-i", box, "-n", "exec", "--", "cat", data=data)
    assert out == data, f"{len(out)} bytes of {len(data)}"


@speaks_first
def test_a_terminal(kubectl, box):
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
    # The size may come a moment after the start.
    script = "test -t 0 && until stty size | grep 97; do sleep 0.1; done; echo done"
    command = [kubectl.program, "exec", "-it", box, "-n", "exec", "--", "sh", "-c", script]
    process = subprocess.Popen(
        command, stdin=far, stdout=far, stderr=far, env=kubectl.environment(), start_new_session=True)
    os.close(far)
    seen = b""
    try:
        while chunk := os.read(near, 4096):
            seen += chunk
    except OSError:
        # What a terminal answers when its other side is closed.
        pass
    os.close(near)
    assert process.wait(timeout=60) == 0 and b"31 97" in seen and b"done" in seen, seen


def test_attach_shows_what_is_written_from_now_on(kubectl, box):
    process = kubectl.start("attach", box, "-n", "exec")
    assert process.stdout.readline() == b"tick\n"
    process.terminate()
    process.communicate(timeout=30)


@speaks_first
def test_attach_reaches_standard_input(kubectl, box, request):
    name = "echo-" + request.node.callspec.id
    reader = shell(name, "while read line; do echo got $line; done; echo bye", stdin=True, stdinOnce=True)
    reader["spec"]["restartPolicy"] = "Never"
    kubectl("apply", "-n", "exec", "-f", "-", data=json.dumps(reader).encode())
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", "exec", "--timeout=120s")
    code, out, err = kubectl("attach", "-i", name, "-n", "exec", data=b"one\ntwo\n")
    assert b"got one\ngot two\nbye\n" in out, (code, out, err)


def test_attach_to_a_terminal_shows_the_prompt(kubectl, box, request):
    name = "shell-" + request.node.callspec.id
    interactive = shell(name, "exec sh -i", stdin=True, tty=True)
    kubectl("apply", "-n", "exec", "-f", "-", data=json.dumps(interactive).encode())
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", "exec", "--timeout=120s")
    near, far = pty.openpty()
    process = subprocess.Popen(
        [kubectl.program, "attach", "-it", name, "-n", "exec"], stdin=far, stdout=far, stderr=far,
        env=kubectl.environment(), start_new_session=True)
    os.close(far)
    seen = b""

    def read_until(text):
        nonlocal seen
        while text not in seen:
            ready, _, _ = select.select([near], [], [], 30)
            assert ready, f"{text} never came: {seen}"
            seen += os.read(near, 4096)

    # Whatever comes first, the prompt comes after a line of its own.
    os.write(near, b"echo $((6*7))\n")
    read_until(b"42")
    read_until(b"# ")
    os.write(near, b"exit\n")
    assert process.wait(timeout=60) == 0, seen
    os.close(near)


def forwarded(kubectl, *arguments):
    """A running port-forward and the local port that it chose."""
    process = kubectl.start("port-forward", *arguments)
    line = process.stdout.readline().decode()
    found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", line)
    assert found, line + process.stderr.read().decode()
    return process, int(found[1])


def test_port_forward(kubectl, box):
    process, port = forwarded(kubectl, f"pod/{box}", "-n", "exec", ":8081")
    try:
        for _ in range(5):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                assert answer.read() == b"hello\n"
        # Two at once do not wait for each other.
        first = socket.create_connection(("127.0.0.1", port), timeout=20)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            assert answer.status == 200
        first.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello" in b"".join(iter(lambda: first.recv(4096), b""))
        first.close()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_port_forward_to_a_closed_port_says_so(kubectl, box):
    process, port = forwarded(kubectl, f"pod/{box}", "-n", "exec", ":9")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"x")
            try:
                assert connection.recv(10) == b""
            except ConnectionResetError:
                pass
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert "error forwarding port 9" in err.decode() and "onnection refused" in err.decode()
