"""What functions reach: the world beyond this machine, unless it is switched off; and how fast they may stream."""

import json
import subprocess
import time
import uuid

import pytest
from test_isolation import program  # noqa: F401, a fixture
from test_lambda import ROLE, invoke, zipped

# A network that is for documentation alone, so that no host has it.
HERE, THERE, PORT = "198.51.100.1", "198.51.100.2", 7777
DOOR = "127.0.0.1:4566"
SERVE = f"""
import socket
listener = socket.create_server(("{THERE}", {PORT}))
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""


@pytest.fixture(scope="module")
def closed(make_platform):
    """A platform whose functions reach nothing, and which holds streams back."""
    return make_platform("--function-egress", "off", "--stream-brake")


@pytest.fixture(scope="module")
def world():
    """A host beyond this one, in a network namespace."""
    name = f"world-{uuid.uuid4().hex[:6]}"
    inside, outside = f"wi{name[-6:]}", f"wo{name[-6:]}"

    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    server = None
    ip("netns", "add", name)
    try:
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        ip("addr", "add", f"{HERE}/24", "dev", outside)
        ip("link", "set", outside, "up")
        ip("-n", name, "addr", "add", f"{THERE}/24", "dev", inside)
        ip("-n", name, "link", "set", inside, "up")
        command = ["ip", "netns", "exec", name, "python3", "-c", SERVE]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "ready\n"
        yield f"{THERE}:{PORT}"
    finally:
        if server:
            server.kill()
            server.wait()
        subprocess.run(["ip", "link", "del", outside], capture_output=True)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def reaches(platform, program, address):  # noqa: F811
    """How an attempt to connect ends that a function makes."""
    client, name = platform.boto3("lambda"), f"reach-{uuid.uuid4().hex[:6]}"
    client.create_function(
        FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="bootstrap", Code={"ZipFile": program}, Timeout=30)
    try:
        return invoke(client, name, {"try": "connect", "with": address})[1]
    finally:
        client.delete_function(FunctionName=name)


def test_the_world_is_open_unless_switched_off(platform, closed, program, world):  # noqa: F811
    assert reaches(platform, program, world) == "ok"
    assert reaches(closed, program, world) == "ENETUNREACH"
    assert reaches(closed, program, "1.1.1.1:53") == "ENETUNREACH"


def test_the_aws_endpoint_is_inside_in_any_case(closed, program):  # noqa: F811
    assert reaches(closed, program, DOOR) == "ok"


STREAM = """#!/usr/bin/python3 -u
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
piece = b"x" * (1 << 20)
while True:
    api = socket.create_connection((host, int(port))).makefile("rwb")
    api.write(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"); api.flush()
    head = {}
    for line in iter(api.readline, b"\\r\\n"):
        name, _, value = line.decode().partition(":")
        head[name.lower()] = value.strip()
    count = int(api.read(int(head["content-length"])))
    api.write(b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\n"
        b"Lambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
        % head["lambda-runtime-aws-request-id"].encode())
    for _ in range(count):
        api.write(b"%x\\r\\n%s\\r\\n" % (len(piece), piece))
    api.write(b"0\\r\\n\\r\\n"); api.flush()
    api.readline()
"""


def streamed(platform, mebibytes):
    """How long an answer of this size takes, in seconds, when an instance is there."""
    client, name = platform.boto3("lambda"), f"stream-{uuid.uuid4().hex[:6]}"
    client.create_function(
        FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="x", Code={"ZipFile": zipped(bootstrap=STREAM)}, Timeout=60)
    try:
        took = 0.0
        for count in (0, mebibytes):
            began = time.monotonic()
            answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(count))
            size = sum(len(event["PayloadChunk"]["Payload"]) for event in answer["EventStream"] if "PayloadChunk" in event)
            took = time.monotonic() - began
            assert size == count << 20
        return took
    finally:
        client.delete_function(FunctionName=name)


def test_streams_are_held_back_as_on_lambda(closed):
    """2 MiB in a second after the first 6."""
    assert streamed(closed, 9) >= 1.4
