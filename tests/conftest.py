"""The real binary and the real clients, as a user has them: one platform per test session, stopped at its end."""

import atexit
import base64
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = subprocess.run(
    ["rustc", "-vV"], check=True, capture_output=True, text=True
).stdout.split("host: ")[1].split()[0]
# Another build of it, such as target/debug/dory, may be named.
DORY = pathlib.Path(os.environ.get("DORY_BINARY", ROOT / "target" / TARGET / "release" / "dory"))
EXAMPLES = ROOT / "target" / "examples" / TARGET / "release"
TOOLS = "tools:1"
VENV = ROOT / "target" / "venv" / "bin"


def wait_for(what, condition, seconds=120.0):
    """Waits until the condition gives something true, and gives that back; fails with `what` when it never does."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"after {seconds:.0f} s: {what}")
        time.sleep(0.05)


def lasting_ports(count):
    """Free ports for who listens a little later, or again and again. They lie below those that the kernel gives to connections, and
    below node ports: of port 0 comes one that a client may be given meanwhile, by chance even to connect to itself."""
    held = []
    while len(held) < count:
        with contextlib.suppress(OSError):
            held.append(socket.create_server(("127.0.0.1", random.randrange(10_000, 30_000))))
    ports = [one.getsockname()[1] for one in held]
    [one.close() for one in held]
    return ports


def spoken(process):
    """The lines that a process prints: a list that grows as they come."""
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
    return lines


def pytest_configure(config):
    config.addinivalue_line("markers", "kubectl(minor): needs kubectl 1.minor or newer")


def pytest_collection_modifyitems(items):
    """Skips, and says so, what the kubectl of this machine is too old for: Debian 12's is 1.20."""
    shown = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True).stdout
    minor = int(json.loads(shown)["clientVersion"]["minor"].rstrip("+"))
    for item in items:
        mark = item.get_closest_marker("kubectl")
        if mark and minor < mark.args[0]:
            item.add_marker(pytest.mark.skip(reason=f"needs kubectl 1.{mark.args[0]}; this is 1.{minor}"))


# Who may assume the roles of functions.
TRUST_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def open_url(client, name, **more):
    """Lets everybody call a function's URL whose AuthType is NONE, as AWS wants it said."""
    client.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE", **more)
    client.add_permission(
        FunctionName=name, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True, **more)


class Platform:
    """One `dory` with a data directory of its own, on free ports."""

    def __init__(self, directory, *up):
        self.data = pathlib.Path(directory)
        self.up_arguments = up

    def run(self, *arguments, check=True, **options):
        """Runs a subcommand of dory."""
        path = f"{VENV}:{os.environ['PATH']}"
        done = subprocess.run(
            [DORY, "--data-dir", self.data, *arguments],
            capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=120, **options,
        )
        assert not check or done.returncode == 0, f"dory {arguments}: {done.stderr}"
        return done

    def up(self):
        ports = [word for door in ("api", "aws", "http", "https") for word in (f"--{door}-port", "0")]
        self.run("up", "--detach", *ports, *self.up_arguments)
        return self

    def down(self):
        return self.run("down")

    @property
    def pid(self):
        return int((self.data / "dory.pid").read_text())

    @property
    def endpoints(self):
        return json.loads((self.data / "endpoints.json").read_text())

    @property
    def gateway(self):
        return f"http://127.0.0.1:{self.endpoints['http_port']}"

    @property
    def environment(self):
        """What `eval "$(dory env)"` gives a shell."""
        lines = [line.removeprefix("export ").split("=", 1) for line in self.run("env").stdout.splitlines()]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "KUBE"))}
        return {**clean, **{name: value.strip("'") for name, value in lines}}

    def kubectl(self, *arguments, check=True, text=None, timeout=180):
        """Runs kubectl against this platform; gives the finished process."""
        done = subprocess.run(
            ["kubectl", *arguments], input=text, capture_output=True, text=True,
            env=self.environment, timeout=timeout,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done

    def get(self, *arguments):
        """`kubectl get … -o json`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, manifest, *arguments, check=True):
        """`kubectl apply -f -` of YAML text or of an object."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.kubectl("apply", *arguments, "-f", "-", text=text, check=check)

    def connections(self):
        """Makes HTTPS connections as kubectl's user: for what kubectl is too slow."""
        config = json.loads(self.kubectl("config", "view", "--raw", "-o", "json").stdout)
        user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
        trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        # Python reads them from files alone.
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(b"".join(base64.b64decode(user[name]) for name in ("client-certificate-data", "client-key-data")))
            pem.flush()
            trust.load_cert_chain(pem.name)
        server = urllib.parse.urlparse(cluster["server"])
        return lambda: http.client.HTTPSConnection(server.hostname, server.port, context=trust)

    def metric(self, name):
        """A value on `/metrics` that has no labels."""
        text = self.kubectl("get", "--raw", "/metrics").stdout
        return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])

    def aws(self, *arguments, check=True):
        """Runs the aws CLI against this platform; gives the finished process."""
        done = subprocess.run(
            [VENV / "aws", *arguments], capture_output=True, text=True, env=self.environment, timeout=180
        )
        assert not check or done.returncode == 0, f"aws {' '.join(map(str, arguments))}: {done.stderr}"
        return done

    def boto3(self, service, **changes):
        """A boto3 client of this platform."""
        import boto3
        from botocore.config import Config

        environment = self.environment
        settings = {
            "endpoint_url": environment["AWS_ENDPOINT_URL"],
            "region_name": environment["AWS_REGION"],
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
            # What is wrong is sent as it is: the answer is what these tests are about.
            "config": Config(retries={"max_attempts": 0}, read_timeout=60, parameter_validation=False),
        }
        return boto3.client(service, **{**settings, **changes})


@pytest.fixture(scope="session")
def make_platform():
    """Starts platforms and stops them again, also when their test failed."""
    made = []

    def make(*up):
        platform = Platform(tempfile.mkdtemp(prefix="dory-test-"), *up)
        made.append(platform)
        platform.up()
        iam = platform.boto3("iam")
        for role in ("test", "any"):
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
        return platform

    yield make
    for platform in made:
        platform.run("down", check=False)
        shutil.rmtree(platform.data, ignore_errors=True)


@pytest.fixture(scope="session")
def platform(make_platform):
    """The platform that most tests share, with the images of the examples."""
    shared = make_platform("--keep-warm", "2")
    for tag in ("1.0.0", "1.0.1"):
        name = f"my-registry/api-service:{tag}"
        shared.run("image", "build", EXAMPLES / "api-service", "-t", name, "--env", f"VERSION={tag}")
    shared.run("image", "build", tools_directory(), "-t", TOOLS)
    return shared


def tools_directory():
    """A root file system of busybox and its commands, as a directory."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="dory-tools-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "bin").mkdir()
    (root / "tmp").mkdir(mode=0o1777)
    (root / "etc").mkdir()
    for library in ("lib", "lib64"):
        (root / library).symlink_to(f"usr/{library}")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nada:x:1000:1000:Ada:/:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nada:x:1000:\n")
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for command in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True).stdout.split():
        if command != "busybox":
            (root / "bin" / command).symlink_to("busybox")
    return root


@pytest.fixture
def namespace(platform, request):
    """A namespace of the test's own."""
    name = request.node.name.split("[")[0].replace("_", "-").lower()[:50].strip("-")
    platform.kubectl("create", "namespace", name)
    yield name
    platform.kubectl("delete", "namespace", name, "--wait=false", check=False)


def deployment(name, image="my-registry/api-service:1.0.0", replicas=3, **container):
    """A Deployment of the example server."""
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "api", "image": image, "ports": [{"containerPort": 8080}], **container}],
                },
            },
        },
    }


def pod(name, **container):
    """A pod of the example server."""
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "my-registry/api-service:1.0.0", **container}],
        },
    }


def shell(name, script, **container):
    """A pod that runs a shell script."""
    return pod(name, image=TOOLS, command=["sh", "-c", script], **container)
