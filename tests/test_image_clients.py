"""AWS's runtime interface clients for Node.js and Java, unmodified from their registries: in images that are functions, and in
images that are runtimes. The handlers are in tests/clients. (Python's: test_image_functions.py.)"""

import base64
import io
import json
import re
import shutil
import subprocess
import zipfile

import image_roots
import pytest
from conftest import ROOT, open_url, wait_for
from test_extensions import logs  # noqa: F401
from test_function_urls import curl
from test_image_functions import client, entrypoint, make  # noqa: F401
from test_lambda import ROLE, invoke, zipped

NODE_HANDLER = (ROOT / "tests" / "clients" / "node" / "app.mjs").read_text()
# As AWS's own base image starts it.
JAVA = ["/usr/lib/java/bin/java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
JAVA_CLIENT = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
CONTEXT = base64.b64encode(json.dumps({"client": {}, "custom": {"a": "b"}, "env": {}}).encode()).decode()


def build(platform, root, name, *arguments):
    """An image of this root, which is then not needed any more."""
    platform.run("image", "build", root, "-t", name, *arguments)
    shutil.rmtree(root.parent)
    return name


@pytest.fixture(scope="module")
def node(platform, tmp_path_factory):
    """As AWS's guide writes the Dockerfile: ENTRYPOINT npx aws-lambda-ric, CMD the handler. The prefix says where the client is,
    for an image that is a runtime: there the directory of the code is mounted over the image's."""
    root = image_roots.node_root(tmp_path_factory.mktemp("node") / "root")
    words = entrypoint("/usr/local/bin/npx", "--prefix=/client", "aws-lambda-ric")
    return build(platform, root, "functions/node-ric:22", *words, "--cmd", "app.handler", "--workdir", "/var/task")


@pytest.fixture(scope="module")
def app_jar(tmp_path_factory):
    """tests/clients/java as a jar, which Lambda takes as it is."""
    classes = tmp_path_factory.mktemp("classes")
    jars, source = image_roots.CLIENTS / "java", ROOT / "tests" / "clients" / "java" / "App.java"
    subprocess.run(["javac", "--release", "11", "-cp", f"{jars}/*", "-d", classes, source], check=True, capture_output=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        for file in classes.rglob("*.class"):
            jar.write(file, file.relative_to(classes))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def java(platform, app_jar, tmp_path_factory):
    """Java with the client, which takes the handler as its argument; the handler's jar is there for who names it."""
    root = image_roots.java_root(tmp_path_factory.mktemp("java") / "root")
    (root / "function").mkdir()
    (root / "function" / "app.jar").write_bytes(app_jar)
    return build(platform, root, "functions/java-ric:1", *entrypoint(*JAVA, "-cp", "/client/*", JAVA_CLIENT))


def answers(client, name, runs_in, memory):
    """One call, and all that the handler's context told it."""
    answer, value = invoke(client, name, {"do": "add", "a": 2, "b": 3}, LogType="Tail", ClientContext=CONTEXT)
    assert "FunctionError" not in answer, value
    value.pop("node", None)
    assert {**value, "memory": int(value["memory"])} == {
        "sum": 5, "name": name, "left": True, "memory": memory, "custom": "b", "runs_in": runs_in,
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}", "id": answer["ResponseMetadata"]["RequestId"],
    }
    log = base64.b64decode(answer["LogResult"]).decode()
    assert re.search(r"START RequestId: [\s\S]*asked to add\s+END RequestId: ", log), log


def fails(client, name, do="fail", **more):
    answer, value = invoke(client, name, {"do": do}, LogType="Tail", **more)
    assert answer["FunctionError"] == "Unhandled", value
    return value, base64.b64decode(answer["LogResult"]).decode()


@image_roots.needs("node")
def test_node_in_an_image(client, make, node):  # noqa: F811
    made = make("node-image", node, MemorySize=512, Timeout=60)
    assert made["PackageType"] == "Image"
    answers(client, "node-image", "AWS_Lambda_Image", 512)
    value, log = fails(client, "node-image")
    assert (value["errorType"], value["errorMessage"]) == ("RangeError", "boöm")
    assert any("/var/task/app.mjs" in line for line in value["trace"]), value
    assert "RangeError" in log
    value, _ = fails(client, "node-image", "exit")
    assert value["errorType"] == "Runtime.ExitError" and "exit status 7" in value["errorMessage"]
    answers(client, "node-image", "AWS_Lambda_Image", 512)


@image_roots.needs("node")
def test_node_that_cannot_start(client, make, node):  # noqa: F811
    make("node-broken", node, MemorySize=512, Timeout=60, Environment={"Variables": {"BROKEN_AT_START": "1"}})
    value, log = fails(client, "node-broken")
    assert (value["errorType"], value["errorMessage"]) == ("TypeError", "it cannot start"), value
    make("node-absent", node, command=["app.absent"], MemorySize=512, Timeout=60)
    value, _ = fails(client, "node-absent")
    assert value["errorType"] == "Runtime.HandlerNotFound", value


@image_roots.needs("node")
def test_node_streams(client, make, node):  # noqa: F811
    make("node-stream", node, command=["app.stream"], MemorySize=512, Timeout=60)

    def stream(**event):
        answer = client.invoke_with_response_stream(FunctionName="node-stream", Payload=json.dumps(event))
        events = list(answer["EventStream"])
        body = b"".join(event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event)
        return body, len(events), next(event["InvokeComplete"] for event in events if "InvokeComplete" in event)

    body, pieces, end = stream(pieces=4)
    assert body == b"piece 0\npiece 1\npiece 2\npiece 3\n" and pieces >= 4 and "ErrorCode" not in end
    body, _, end = stream(pieces=4, breaks=True)
    assert body.startswith(b"piece 0\n") and end["ErrorCode"] == "Unhandled", end
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "it broke off"
    client.update_function_configuration(FunctionName="node-stream", ImageConfig={"Command": ["app.page"]})
    url = client.create_function_url_config(FunctionName="node-stream", AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    open_url(client, "node-stream")
    status, headers, body = wait_for("the route", lambda: (got := curl(f"{url}a/b"))[0] not in (403, 404) and got)
    assert (status, body) == (201, b"streamed /a/b") or (status, body) == (201, "streamed /a/b")


@pytest.fixture
def runtime(platform, client):  # noqa: F811
    """Gives a runtime an image and makes a function of it; takes both back."""
    made, added = [], []

    def make(name, runtime, image, code, handler, **more):
        if runtime not in added:
            platform.run("runtime", "add", runtime, image)
            added.append(runtime)
        client.create_function(
            FunctionName=name, Runtime=runtime, Handler=handler, Role=ROLE, Code={"ZipFile": code}, MemorySize=512, Timeout=60, **more)
        made.append(name)

    yield make
    for name in made:
        client.delete_function(FunctionName=name)
    for name in added:
        platform.run("runtime", "rm", name)


@image_roots.needs("node")
def test_node_as_a_runtime(client, node, runtime):  # noqa: F811
    """The code comes as a zip, and the client from the image."""
    runtime("node-zipped", "nodejs22.x", node, zipped(app__mjs=NODE_HANDLER), "app.handler")
    answers(client, "node-zipped", "AWS_Lambda_nodejs22.x", 512)
    client.update_function_configuration(FunctionName="node-zipped", Handler="app.called_back")
    # A function of the runtime's own name is told what this client has given up.
    value, _ = fails(client, "node-zipped")
    assert value["errorType"] == "Runtime.CallbackHandlerDeprecated" and "Node.js 22" in value["errorMessage"], value


@image_roots.needs("java")
def test_java_as_a_runtime(client, java, app_jar, runtime, logs):  # noqa: F811
    """A jar, as it is, and a zip that has it in lib."""
    runtime("java-jar", "java17", java, app_jar, "example.App::handleRequest")
    answers(client, "java-jar", "AWS_Lambda_java17", 512)
    value, _ = fails(client, "java-jar")
    assert (value["errorType"], value["errorMessage"]) == ("java.lang.IllegalStateException", "boöm")
    assert value["stackTrace"][0].startswith("example.App.handleRequest("), value
    # The client prints the stack when it has reported the error.
    wait_for("the reason", lambda: "Caused by: java.lang.RuntimeException: the reason" in "\n".join(logs("java-jar")))
    value, _ = fails(client, "java-jar", "exit")
    assert value["errorType"] == "Runtime.ExitError" and "exit status 7" in value["errorMessage"]
    in_lib = io.BytesIO()
    with zipfile.ZipFile(in_lib, "w") as archive:
        archive.writestr("lib/app.jar", app_jar)
    runtime("java-lib", "java17", java, in_lib.getvalue(), "example.App$Copy")
    assert invoke(client, "java-lib", {"any": ["thing"]})[1] == {"any": ["thing"]}


@image_roots.needs("java")
def test_java_that_cannot_start(client, java, app_jar, runtime):  # noqa: F811
    runtime("java-broken", "java17", java, app_jar, "example.App", Environment={"Variables": {"BROKEN_AT_START": "1"}})
    value, _ = fails(client, "java-broken")
    assert (value["errorType"], value["errorMessage"]) == ("java.lang.IllegalArgumentException", "it cannot start"), value
    client.update_function_configuration(FunctionName="java-broken", Handler="example.Absent", Environment={"Variables": {}})
    value, _ = fails(client, "java-broken")
    assert value["errorMessage"] == "Class not found: example.Absent", value


@image_roots.needs("java")
def test_java_in_an_image(client, make, java):  # noqa: F811
    """The same client, with the handler's jar beside it in the image."""
    entry = [*JAVA, "-cp", "/client/*:/function/app.jar", JAVA_CLIENT]
    make("java-image", java, entry=entry, command=["example.App::handleRequest"], MemorySize=512, Timeout=60)
    answers(client, "java-image", "AWS_Lambda_Image", 512)
