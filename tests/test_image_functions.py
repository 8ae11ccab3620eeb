"""Container images as functions, and runtimes that run in images: the real clients against the real binary."""

import base64
import io
import json
import shutil
import zipfile

import botocore.exceptions
import image_roots
import pytest
from conftest import EXAMPLES, TOOLS, open_url, tools_directory, wait_for
from test_extensions import logs, official  # noqa: F401 (fixtures)
from test_function_urls import curl
from test_lambda import ROLE, invoke, zipped
from test_web_functions import request

# A runtime in shell, for images that have one: answers every event with what the script prints, which may read $EVENT.
LOOP = """
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while true; do
  EVENT=$(wget -q -S -O - $api/next 2>/tmp/headers)
  ID=$(sed -n 's/.*[Aa]ws-[Rr]equest-[Ii]d: *\\([0-9a-f-]*\\).*/\\1/p' /tmp/headers)
  wget -q -O /dev/null --post-data "$(answer)" $api/$ID/response
done
"""
HELLO = "functions/hello:1"


def answering(script):
    """An entry point in shell, whose answers are what `script` prints."""
    return ["sh", "-c", f"answer() {{\n{script}\n}}\n{LOOP}", "sh"]


@pytest.fixture(scope="module")
def client(platform):
    return platform.boto3("lambda")


@pytest.fixture(scope="module")
def hello(platform):
    """The example runtime as an image, under its first name."""
    platform.run("image", "build", EXAMPLES / "bootstrap", "-t", HELLO)
    return HELLO


@pytest.fixture
def make(client):
    """Makes functions that are images; they go with the test."""
    made = []

    def create(name, uri, entry=None, command=None, cwd=None, **more):
        config = {"EntryPoint": entry, "Command": command, "WorkingDirectory": cwd}
        config = {key: value for key, value in config.items() if value is not None}
        if config:
            more["ImageConfig"] = config
        answer = client.create_function(
            FunctionName=name, PackageType="Image", Code={"ImageUri": uri}, Role=ROLE, **more)
        made.append(name)
        return answer

    yield create
    for name in made:
        client.delete_function(FunctionName=name)


def refused(call, code="InvalidParameterValueException", **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    return error.value.response["Error"]["Message"]


def digest_of(platform, name):
    """The digest of an image's manifest, as the store's own index has it."""
    index = json.loads((platform.data / "images" / "index.json").read_text())
    named = lambda one: (one.get("annotations") or {}).get("org.opencontainers.image.ref.name", "")
    return next(one["digest"] for one in index["manifests"] if named(one).endswith(name))


def test_an_image_is_a_function(platform, client, hello, make):
    made = make("image-hello", hello, Timeout=10)
    digest = digest_of(platform, hello)
    assert (made["PackageType"], made["State"], made["CodeSize"]) == ("Image", "Active", 0)
    assert made["CodeSha256"] == digest.removeprefix("sha256:")
    assert not {"Runtime", "Handler", "Layers", "ImageConfigResponse"} & made.keys()
    code = client.get_function(FunctionName="image-hello")["Code"]
    assert code == {"RepositoryType": "ECR", "ImageUri": hello, "ResolvedImageUri": f"functions/hello@{digest}"}
    answer, _ = invoke(client, "image-hello", {"name": "Ada"}, LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "FunctionError" not in answer and "Init Duration" in log
    stages = platform.run("trace-cold-start", "image-hello").stdout
    assert "process" in stages
    shown = platform.get("function", "image-hello")["spec"]
    assert shown["image"] == {"uri": hello, "digest": digest} and "code" not in shown
    assert hello in platform.kubectl("get", "function", "image-hello").stdout


def test_the_aws_cli_knows_images(platform, hello, tmp_path):
    platform.aws("lambda", "create-function", "--function-name", "image-cli", "--package-type", "Image", "--code",
                 f"ImageUri={hello}", "--role", ROLE)
    platform.aws("lambda", "wait", "function-active-v2", "--function-name", "image-cli")
    out = tmp_path / "out.json"
    assert json.loads(platform.aws("lambda", "invoke", "--function-name", "image-cli", str(out)).stdout)["StatusCode"] == 200
    updated = json.loads(platform.aws(
        "lambda", "update-function-code", "--function-name", "image-cli", "--image-uri", TOOLS, "--publish").stdout)
    assert updated["CodeSha256"] == digest_of(platform, TOOLS).removeprefix("sha256:") and updated["Version"] == "1"
    platform.aws("lambda", "delete-function", "--function-name", "image-cli")


INSIDE = r"""
w() { touch $1/x 2>/dev/null && echo yes || echo no; }
printf '{"handler":"%s","cwd":"%s","user":"%s","exec":"%s","task":"%s","mine":"%s","root":"%s","tmp":"%s","caps":"%s","seccomp":"%s","args":"%s"}' \
  "$_HANDLER" "$PWD" "$(id -u)" "$AWS_EXECUTION_ENV" "$LAMBDA_TASK_ROOT" "$MINE" "$(w /) $(w /etc) $(w /bin) $(w /dev/shm/..)" \
  "$(w /tmp)" "$(sed -n 's/CapEff:\t//p' /proc/self/status)" "$(sed -n 's/Seccomp:\t//p' /proc/self/status)" "$ARGS"
"""


def test_inside_an_image(client, make):
    entry = answering(INSIDE)
    make("image-inside", TOOLS, entry=["env", "MINE=image", *entry], command=["app.handler"], cwd="/bin", Timeout=10)
    answer, value = invoke(client, "image-inside")
    assert "FunctionError" not in answer, value
    assert value == {
        "handler": "app.handler", "cwd": "/bin", "user": "993", "exec": "AWS_Lambda_Image", "task": "/var/task",
        "mine": "image", "root": "no no no no", "tmp": "yes", "caps": "0" * 16, "seccomp": "2", "args": "",
    }
    shown = client.get_function_configuration(FunctionName="image-inside")["ImageConfigResponse"]["ImageConfig"]
    assert shown == {"EntryPoint": ["env", "MINE=image", *entry], "Command": ["app.handler"], "WorkingDirectory": "/bin"}
    changed = client.update_function_configuration(
        FunctionName="image-inside", ImageConfig={"EntryPoint": entry}, Environment={"Variables": {"MINE": "function"}})
    assert changed["ImageConfigResponse"]["ImageConfig"] == {"EntryPoint": entry}
    _, value = invoke(client, "image-inside")
    # The shell's own name for the script comes last, as the handler does.
    assert (value["handler"], value["cwd"], value["mine"]) == ("sh", "/", "function")


def entrypoint(*words):
    """Arguments of `dory image build`."""
    return [argument for word in words for argument in ("--entrypoint", word)]


@pytest.fixture
def tools():
    """A root file system with a shell and its tools, to change and to build from."""
    root = tools_directory()
    yield root
    shutil.rmtree(root)


def test_the_variables_of_an_image(platform, client, make, tools):
    script = answering("""printf '{"from":"%s","mine":"%s","region":"%s"}' $FROM $MINE $AWS_REGION""")
    variables = ["--env", "FROM=image", "--env", "MINE=image", "--env", "AWS_REGION=elsewhere"]
    platform.run("image", "build", tools, "-t", "variables:1", *entrypoint(*script), *variables)
    make("image-variables", "variables:1", Environment={"Variables": {"MINE": "function"}}, Timeout=10)
    answer, value = invoke(client, "image-variables")
    assert value == {"from": "image", "mine": "function", "region": "us-east-1"}, value


def test_a_later_tag_changes_nothing_and_rm_keeps_what_runs(platform, client, make, tools):
    def build(word):
        (tools / "word").write_text(word)
        platform.run("image", "build", tools, "-t", "moving:1", *entrypoint(*answering("""printf '"%s"' "$(cat /word)" """)))

    build("one")
    made = make("image-moving", "moving:1", Timeout=10)
    build("two")
    # Another configuration makes another instance, of the same image.
    client.update_function_configuration(FunctionName="image-moving", MemorySize=256)
    assert invoke(client, "image-moving")[1] == "one"
    assert "functions" not in platform.run("image", "rm", "moving:1").stdout
    client.update_function_configuration(FunctionName="image-moving", MemorySize=512)
    assert invoke(client, "image-moving")[1] == "one"
    build("one")
    assert "its content stays as long as functions run from it" in platform.run("image", "rm", "moving:1").stdout
    digest = "sha256:" + made["CodeSha256"]
    assert "kept for functions" in platform.run("image", "rm", digest, check=False).stderr
    assert "<none>" in platform.run("image", "ls").stdout
    client.update_function_configuration(FunctionName="image-moving", MemorySize=128)
    assert invoke(client, "image-moving")[1] == "one"


def test_versions_and_aliases_keep_their_image(platform, client, make, hello):
    entry = answering("printf 1")
    make("image-versions", TOOLS, entry=entry, Timeout=10)
    sha = client.get_function_configuration(FunctionName="image-versions")["CodeSha256"]
    assert "is different from current" in refused(
        client.publish_version, FunctionName="image-versions", CodeSha256="0" * 64)
    first = client.publish_version(FunctionName="image-versions", CodeSha256=sha)
    assert (first["Version"], first["PackageType"], first["CodeSha256"]) == ("1", "Image", sha)
    client.create_alias(FunctionName="image-versions", Name="live", FunctionVersion="1")
    before = client.get_function_configuration(FunctionName="image-versions")["RevisionId"]
    dry = client.update_function_code(FunctionName="image-versions", ImageUri=hello, DryRun=True, RevisionId=before)
    assert dry["CodeSha256"] != sha
    assert client.get_function_configuration(FunctionName="image-versions")["CodeSha256"] == sha
    client.update_function_code(FunctionName="image-versions", ImageUri=hello, RevisionId=before)
    refused(client.update_function_code, "PreconditionFailedException",
            FunctionName="image-versions", ImageUri=TOOLS, RevisionId=before)
    assert invoke(client, "image-versions", Qualifier="live")[1] == 1
    code = client.get_function(FunctionName="image-versions", Qualifier="live")["Code"]
    assert code["ImageUri"] == TOOLS


def test_what_does_not_go_together_is_refused(platform, client, make, hello):
    create = lambda **more: refused(client.create_function, FunctionName="image-no", Role=ROLE, **more)
    image = {"PackageType": "Image", "Code": {"ImageUri": hello}}
    for more in ({"Runtime": "provided.al2"}, {"Handler": "x"}, {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:x:1"]}):
        assert create(**image, **more) == (
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.")
    assert "Please provide ImageUri" in create(PackageType="Image", Code={"ZipFile": zipped(bootstrap="")})
    assert "Please provide ImageUri" in create(PackageType="Image", Code={})
    of_zip = {"Runtime": "provided.al2", "Handler": "x"}
    assert "Please don't provide ImageUri" in create(Code={"ImageUri": hello}, **of_zip)
    assert "Please don't provide ImageConfig" in create(
        Code={"ZipFile": zipped(bootstrap="")}, ImageConfig={"Command": ["x"]}, **of_zip)
    missing = create(PackageType="Image", Code={"ImageUri": "functions/missing:1"})
    assert missing.startswith("Source image functions/missing:1 does not exist. Provide a valid source image.")
    assert "`dory image pull`" in missing
    assert "is not valid" in create(PackageType="Image", Code={"ImageUri": "Not An Image"})
    make("image-stays", hello)
    assert refused(client.update_function_code, FunctionName="image-stays", ZipFile=zipped(bootstrap="")) == (
        "Please provide ImageUri when updating a function with packageType Image.")
    assert "Handler or Runtime or Layer" in refused(
        client.update_function_configuration, FunctionName="image-stays", Handler="x")
    client.create_function(FunctionName="zip-stays", Role=ROLE, Code={"ZipFile": zipped(bootstrap="")}, **of_zip)
    try:
        assert refused(client.update_function_code, FunctionName="zip-stays", ImageUri=hello) == (
            "Please don't provide ImageUri when updating a function with packageType Zip.")
        assert "ImageConfig" in refused(
            client.update_function_configuration, FunctionName="zip-stays", ImageConfig={"Command": ["x"]})
    finally:
        client.delete_function(FunctionName="zip-stays")
    wrong = {"apiVersion": "dory.dev/v1", "kind": "Function", "metadata": {"name": "image-wrong"},
             "spec": {"packageType": "Image", "runtime": "provided.al2", "image": {"uri": hello}}}
    denied = platform.apply(wrong, check=False).stderr
    assert "spec.image.digest: Required value" in denied and "spec.runtime: Forbidden" in denied


@pytest.mark.parametrize("config, kind, message", [
    ({"entry": ["/nope"]}, "Runtime.InvalidEntrypoint", "fork/exec /nope: no such file or directory"),
    ({"entry": ["nope"]}, "Runtime.InvalidEntrypoint", 'exec: "nope": executable file not found in $PATH'),
    ({"entry": ["/etc/passwd"]}, "Runtime.InvalidEntrypoint", "fork/exec /etc/passwd: permission denied"),
    ({"entry": ["true"], "cwd": "/nowhere"}, "Runtime.InvalidWorkingDir", "chdir /nowhere: no such file or directory"),
    ({"entry": ["false"]}, "Runtime.ExitError", "Runtime exited with error: exit status 1"),
    ({}, "Runtime.InvalidEntrypoint", "the image has neither an entry point nor a command"),
])
def test_images_that_do_not_start(client, make, config, kind, message):
    name = f"image-fails-{abs(hash(message)) % 10**8}"
    make(name, TOOLS, Timeout=10, **config)
    answer, value = invoke(client, name)
    assert answer["FunctionError"] == "Unhandled" and value["errorType"] == kind
    assert value["errorMessage"].endswith(message), value


def test_dory_deploys_an_image(platform, client, hello):
    shown = platform.run("deploy", hello, "--function", "--name", "image-deployed").stdout
    try:
        assert "function/image-deployed created" in shown and "http://" in shown
        assert "updated" in platform.run("deploy", hello, "--function", "--name", "image-deployed").stdout
        assert client.get_function_configuration(FunctionName="image-deployed")["PackageType"] == "Image"
    finally:
        client.delete_function(FunctionName="image-deployed")


def test_an_image_with_a_web_server(client, make):
    make("image-web", "my-registry/api-service:1.0.0", Environment={"Variables": {"PORT": "8080"}}, Timeout=10)
    answer, value = invoke(client, "image-web", {
        "version": "2.0", "rawPath": "/", "rawQueryString": "", "headers": {"host": "example.com"},
        "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}},
        "isBase64Encoded": False})
    assert "FunctionError" not in answer, value
    assert value["statusCode"] == 200 and json.loads(value["body"])["version"] == "1.0.0"


def test_an_image_with_a_web_server_behind_a_url(client, make):
    """The image of the Deployment, called as it is called there."""
    make("image-web-url", "my-registry/api-service:1.0.0", Environment={"Variables": {"AWS_LWA_PORT": "8080"}}, Timeout=10)
    url = client.create_function_url_config(FunctionName="image-web-url", AuthType="NONE")["FunctionUrl"]
    open_url(client, "image-web-url")
    status, headers, body = wait_for("the route", lambda: (got := curl(url))[0] not in (403, 404) and got)
    assert status == 200 and headers["content-type"].startswith("application/json"), (status, headers, body)
    assert json.loads(body)["version"] == "1.0.0"
    status, headers, body = curl(f"{url}nowhere")
    assert status == 404 and "x-amzn-requestid" in headers, "the server's own answer"


@image_roots.needs("adapter")
def test_an_image_that_brings_the_web_adapter(platform, client, make, logs, tmp_path):  # noqa: F811
    """AWS's own adapter speaks for the server, as the extension that it is; the platform leaves it to that."""
    for source, path in (
        (EXAMPLES / "api-service", "server"),
        (image_roots.CLIENTS / "adapter" / "bin" / "lambda-adapter", "opt/extensions/lambda-adapter"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, tmp_path / path)
    variables = [word for variable in ("PORT=8080", "VERSION=2.0.0", "AWS_LWA_ENABLE_COMPRESSION=true") for word in ("--env", variable)]
    platform.run("image", "build", tmp_path, "-t", "adapted:1", *entrypoint("/server"), *variables)
    make("image-adapted", "adapted:1", Timeout=30)
    url = client.create_function_url_config(FunctionName="image-adapted", AuthType="NONE")["FunctionUrl"]
    open_url(client, "image-adapted")
    status, headers, body = wait_for("the route", lambda: (got := curl(url))[0] not in (403, 404) and got)
    assert status == 200 and json.loads(body)["version"] == "2.0.0", (status, headers, body)
    _, value = invoke(client, "image-adapted", request("/", headers={"host": "example.com", "accept-encoding": "gzip, br"}))
    assert value["headers"].get("content-encoding") == "gzip" and value["isBase64Encoded"], value
    assert any("EXTENSION\tName: lambda-adapter\tState: Ready" in line for line in logs("image-adapted")), logs("image-adapted")


def test_extensions_of_an_image(platform, client, make, tools, logs, official):  # noqa: F811
    """One of AWS's own crate in /opt/extensions of the image, beside a runtime in shell."""
    file = tools / "opt" / "extensions" / "official-extension"
    file.parent.mkdir(parents=True)
    file.write_bytes(official)
    file.chmod(0o755)
    script = answering("echo printed >&2; printf '%s' \"$EVENT\"")
    platform.run("image", "build", tools, "-t", "extended:1", *entrypoint(*script))
    make("image-extended", "extended:1", Timeout=30)
    answer, value = invoke(client, "image-extended", {"a": 1})
    assert value == {"a": 1}, value
    id = answer["ResponseMetadata"]["RequestId"]
    said = lambda: [line.removeprefix("official: ") for line in logs("image-extended") if line.startswith("official: ")]
    wait_for("the end", lambda: "SHUTDOWN spindown" in said())
    lines = said()
    assert f"INVOKE {id}" in lines and 'function line "printed"' in lines, lines
    assert "report Success of 128 MB" in lines, lines


PYTHON = '''
import json, os, sys
print("imported")
def handler(event, context):
    print("asked", event["a"])
    return {"sum": event["a"] + event["b"], "name": context.function_name, "arn": context.invoked_function_arn,
            "left": context.get_remaining_time_in_millis() > 0, "id": context.aws_request_id, "uid": os.getuid()}
def fails(event, context):
    raise LookupError("boöm")
'''
needs_client = image_roots.needs("python")


@pytest.fixture(scope="module")
def python_root(tmp_path_factory):
    return image_roots.python_root(tmp_path_factory.mktemp("python") / "root", PYTHON)


@pytest.fixture(scope="module")
def python_image(platform, python_root):
    """This machine's Python with AWS's runtime interface client as its entry point."""
    words = entrypoint("/usr/local/bin/python3", "-m", "awslambdaric")
    platform.run("image", "build", python_root, "-t", "functions/python:1", *words, "--cmd", "app.handler",
                 "--workdir", "/srv", "--env", "PYTHONPATH=/client")
    return "functions/python:1"


@needs_client
def test_the_runtime_interface_client_for_python(client, make, python_image):
    make("image-python", python_image, Timeout=30)
    answer, value = invoke(client, "image-python", {"a": 2, "b": 3}, LogType="Tail")
    assert "FunctionError" not in answer, value
    assert value == {
        "sum": 5, "name": "image-python", "left": True, "uid": 993,
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:image-python",
        "id": answer["ResponseMetadata"]["RequestId"],
    }
    log = base64.b64decode(answer["LogResult"]).decode()
    assert log.startswith("START RequestId: ") and "\nasked 2\nEND RequestId: " in log
    client.update_function_configuration(FunctionName="image-python", ImageConfig={"Command": ["app.fails"]})
    answer, value = invoke(client, "image-python", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert (value["errorType"], value["errorMessage"]) == ("LookupError", "boöm")
    assert "app.py" in value["stackTrace"][0]
    assert "LookupError" in base64.b64decode(answer["LogResult"]).decode()
    client.update_function_configuration(FunctionName="image-python", ImageConfig={"Command": ["absent.handler"]})
    answer, value = invoke(client, "image-python")
    assert value["errorType"] == "Runtime.ImportModuleError" and "No module named 'absent'" in value["errorMessage"]


@needs_client
def test_a_runtime_in_an_image(make_platform, python_root):
    """The client starts zipped code with its layers, and the runtime keeps its image through a restart."""
    platform = make_platform()
    client = platform.boto3("lambda")
    words = entrypoint("/usr/local/bin/python3", "-m", "awslambdaric")
    platform.run("image", "build", python_root, "-t", "python:ric", *words, "--env", "PYTHONPATH=/client:/opt/python")
    code = zipped(main__py="import layered, os\ndef handler(event, context):\n"
                           "    return [layered.WORD, event, os.environ['AWS_EXECUTION_ENV'], os.path.exists('/client')]\n")
    function = {"FunctionName": "in-image", "Runtime": "ruby3.4", "Handler": "main.handler", "Role": ROLE, "Timeout": 30}
    missing = refused(client.create_function, Code={"ZipFile": code}, **function)
    assert "`dory runtime add ruby3.4 IMAGE`" in missing
    assert "does not exist" in platform.run("runtime", "add", "ruby3.4", "nothing:1", check=False).stderr
    assert "not supported" in platform.run("runtime", "add", "cobol", "python:ric", check=False).stderr
    platform.run("runtime", "add", "ruby3.4", "python:ric")
    layer = client.publish_layer_version(LayerName="words", Content={"ZipFile": at("python/layered.py", "WORD = 'from a layer'")})
    client.create_function(Code={"ZipFile": code}, Layers=[layer["LayerVersionArn"]], **function)
    expected = ["from a layer", {"a": 1}, "AWS_Lambda_ruby3.4", True]
    answer, value = invoke(client, "in-image", {"a": 1})
    assert value == expected, value
    platform.run("image", "rm", "python:ric")
    platform.down()
    platform.up()
    client = platform.boto3("lambda")
    shown = platform.run("runtime", "ls").stdout.splitlines()
    assert shown[0].split() == ["RUNTIME", "IMAGE", "DIGEST"] and shown[1].split()[:2] == ["ruby3.4", "python:ric"]
    assert invoke(client, "in-image", {"a": 1})[1] == expected
    platform.run("runtime", "rm", "ruby3.4")
    assert "has no image" in platform.run("runtime", "rm", "ruby3.4", check=False).stderr
    client.update_function_configuration(FunctionName="in-image", MemorySize=256)
    with pytest.raises(botocore.exceptions.ClientError) as error:
        invoke(client, "in-image", {"a": 1})
    assert "dory runtime add ruby3.4" in error.value.response["Error"]["Message"]


def at(path, text):
    """A zip of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(path, text)
    return buffer.getvalue()
