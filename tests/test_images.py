"""Images from a registry: Debian's `docker-registry` on loopback, open, with a password, and with tokens."""

import base64
import hashlib
import http.server
import json
import os
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, TOOLS, lasting_ports, pod, wait_for

REGISTRY = ROOT / "target" / "docker-registry" / "usr" / "bin" / "docker-registry"
pytestmark = pytest.mark.skipif(not REGISTRY.exists(), reason="no target/docker-registry: run tools/setup")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# ada:secret, as `htpasswd -B` writes it.
HTPASSWD = "ada:$2b$05$FBLnDsX0TrTGgnWE3Pf.8.j3SxRzbcFfshGBlkjW1C42F7MZyffkO\n"
PASSWORD = "secret"


class Registry:
    """One running registry."""

    def __init__(self, directory, auth=""):
        [self.port] = lasting_ports(1)
        self.host = f"localhost:{self.port}"
        self.basic = None
        config = directory / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n{auth}")
        self.process = subprocess.Popen([REGISTRY, "serve", config], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

        def answers():
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5)
            except urllib.error.HTTPError:
                pass
            except OSError:
                return False
            return True

        wait_for("the registry answers", answers)

    def send(self, method, path, body=b"", **headers):
        url = path if path.startswith("http") else f"http://{self.host}{path}"
        request = urllib.request.Request(url, data=body if method != "GET" else None, method=method, headers=headers)
        if self.basic:
            request.add_header("Authorization", "Basic " + base64.b64encode(self.basic.encode()).decode())
        return urllib.request.urlopen(request, timeout=30)

    def blob(self, repository, content):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        place = self.send("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        join = "&" if "?" in place else "?"
        self.send("PUT", f"{place}{join}digest={digest}", content, **{"Content-Type": "application/octet-stream"})
        return digest

    def push(self, platform, image, repository, tag, command=None):
        """Pushes an image of the platform's store, perhaps with another command; gives the manifest's digest."""
        store = platform.data / "images"
        read = lambda digest: (store / "blobs" / digest.replace(":", "/")).read_bytes()
        index = json.loads((store / "index.json").read_text())
        names = lambda one: one["annotations"]["org.opencontainers.image.ref.name"]
        found = next(one for one in index["manifests"] if names(one).endswith(image))
        manifest = json.loads(read(found["digest"]))
        config = json.loads(read(manifest["config"]["digest"]))
        if command:
            config["config"]["Cmd"] = command
        content = json.dumps(config).encode()
        manifest["config"].update(digest=self.blob(repository, content), size=len(content))
        for layer in manifest["layers"]:
            self.blob(repository, read(layer["digest"]))
        text = json.dumps({**manifest, "mediaType": MANIFEST}).encode()
        self.send("PUT", f"/v2/{repository}/manifests/{tag}", text, **{"Content-Type": MANIFEST})
        return "sha256:" + hashlib.sha256(text).hexdigest()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """An open registry."""
    running = Registry(tmp_path_factory.mktemp("registry"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A registry with a password."""
    directory = tmp_path_factory.mktemp("locked")
    (directory / "htpasswd").write_text(HTPASSWD)
    running = Registry(directory, f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}\n")
    running.basic = f"ada:{PASSWORD}"
    yield running
    running.stop()


def waiting(platform, namespace, name):
    statuses = platform.get("pod", name, "-n", namespace)["status"].get("containerStatuses") or [{}]
    return statuses[0].get("state", {}).get("waiting", {})


def ready(platform, namespace, name):
    platform.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=120s")


def log(platform, namespace, name):
    return platform.kubectl("logs", name, "-n", namespace).stdout


def test_pull_by_tag_and_by_digest(platform, registry):
    digest = registry.push(platform, TOOLS, "team/tools", "1")
    for name in (f"{registry.host}/team/tools:1", f"{registry.host}/team/tools@{digest}"):
        assert "fetched" in platform.run("image", "pull", name).stdout
        assert "up to date" in platform.run("image", "pull", name).stdout
        assert name in platform.run("image", "ls").stdout
        platform.run("image", "rm", name)
    missing = platform.run("image", "pull", f"{registry.host}/team/nothing:1", check=False)
    assert missing.returncode != 0 and "not found" in missing.stderr


def test_an_index_gives_the_image_for_this_machine(platform, registry):
    digest = registry.push(platform, TOOLS, "multi", "own")
    size = len(registry.send("GET", f"/v2/multi/manifests/{digest}", Accept=MANIFEST).read())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    entry = lambda arch, digest: {
        "mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": arch}}
    kind = "application/vnd.oci.image.index.v1+json"

    def push(tag, *entries):
        index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
        registry.send("PUT", f"/v2/multi/manifests/{tag}", index, **{"Content-Type": kind})

    push("both", entry("s390x", digest), entry(machine, digest))
    name = f"{registry.host}/multi:both"
    assert "fetched" in platform.run("image", "pull", name).stdout
    platform.run("image", "rm", name)
    push("other", entry("s390x", digest))
    refused = platform.run("image", "pull", f"{registry.host}/multi:other", check=False)
    assert "no match for platform" in refused.stderr


def test_a_pod_pulls_what_is_not_here(platform, registry, namespace):
    registry.push(platform, TOOLS, "app", "1", ["sh", "-c", "echo one; sleep 1000"])
    name = f"{registry.host}/app:1"
    platform.apply(pod("web", image=name), "-n", namespace)
    ready(platform, namespace, "web")
    wait_for("the log", lambda: "one" in log(platform, namespace, "web"))
    events = lambda reason: platform.get("events", "-n", namespace, "--field-selector", f"reason={reason}")["items"]
    assert f'Pulling image "{name}"' in wait_for("the pull is told of", lambda: events("Pulling"))[0]["message"]
    assert "Successfully pulled image" in wait_for("its end is told of", lambda: events("Pulled"))[0]["message"]
    # With another image behind the name, only Always looks again.
    registry.push(platform, TOOLS, "app", "1", ["sh", "-c", "echo two; sleep 1000"])
    platform.apply(pod("same", image=name, imagePullPolicy="IfNotPresent"), "-n", namespace)
    platform.apply(pod("new", image=name, imagePullPolicy="Always"), "-n", namespace)
    ready(platform, namespace, "new")
    wait_for("the new image runs", lambda: "two" in log(platform, namespace, "new"))
    ready(platform, namespace, "same")


def test_an_image_that_was_made_here_needs_no_registry(platform, namespace):
    platform.apply(pod("own", imagePullPolicy="Always"), "-n", namespace)
    ready(platform, namespace, "own")


def test_what_cannot_be_pulled_waits_and_says_why(platform, registry, namespace):
    name = f"{registry.host}/late:1"
    platform.apply(pod("late", image=name), "-n", namespace)
    first = wait_for("the pull fails", lambda: waiting(platform, namespace, "late").get("reason") == "ErrImagePull"
                     and waiting(platform, namespace, "late"))
    assert "not found" in first["message"]
    wait_for("the wait shows", lambda: waiting(platform, namespace, "late").get("reason") == "ImagePullBackOff")
    again = waiting(platform, namespace, "late")
    if again.get("reason") == "ImagePullBackOff":
        assert again["message"].startswith(f'Back-off pulling image "{name}": ErrImagePull: ')
    registry.push(platform, TOOLS, "late", "1", ["sleep", "1000"])
    ready(platform, namespace, "late")
    platform.apply(pod("odd", image="Not An Image"), "-n", namespace)
    wait_for("the name is refused", lambda: waiting(platform, namespace, "odd").get("reason") == "InvalidImageName")


def test_pull_secrets(platform, locked, namespace):
    locked.push(platform, TOOLS, "private", "1", ["sleep", "1000"])
    name = f"{locked.host}/private:1"
    refused = platform.run("image", "pull", name, check=False)
    assert "pull access denied" in refused.stderr
    platform.apply(pod("without", image=name), "-n", namespace)
    wait_for("the pull is refused", lambda: "pull access denied" in waiting(platform, namespace, "without").get("message", ""))
    platform.kubectl(
        "create", "secret", "docker-registry", "regcred", "-n", namespace, f"--docker-server={locked.host}",
        "--docker-username=ada", f"--docker-password={PASSWORD}")
    allowed = pod("with", image=name)
    allowed["spec"]["imagePullSecrets"] = [{"name": "gone"}, {"name": "regcred"}]
    platform.apply(allowed, "-n", namespace)
    ready(platform, namespace, "with")
    events = lambda: platform.get(
        "events", "-n", namespace, "--field-selector", "reason=FailedToRetrieveImagePullSecret")["items"]
    assert "(gone)" in wait_for("the missing secret is told of", events)[0]["message"]
    platform.kubectl("delete", "pod", "with", "without", "-n", namespace)


def test_docker_login_is_used(platform, locked, tmp_path, monkeypatch):
    locked.push(platform, TOOLS, "mine", "1")
    entry = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {locked.host: {"auth": entry}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    name = f"{locked.host}/mine:1"
    assert "fetched" in platform.run("image", "pull", name).stdout
    platform.run("image", "rm", name)


class Tokens(http.server.BaseHTTPRequestHandler):
    """A registry door that wants a token, in front of an open registry."""

    def do_GET(self):
        if self.path.startswith("/token"):
            self.server.asked.append(self.path)
            return self.answer(200, json.dumps({"token": "open-sesame"}).encode())
        if self.headers.get("Authorization") != "Bearer open-sesame":
            port = self.server.server_address[1]
            challenge = f'Bearer realm="http://localhost:{port}/token",service="test",scope="repository:app:pull"'
            return self.answer(401, b"{}", **{"WWW-Authenticate": challenge})
        if "/blobs/" in self.path:
            # Elsewhere, where the token must not go.
            return self.answer(307, b"", Location=f"{self.server.behind}{self.path}")
        with urllib.request.urlopen(urllib.request.Request(
                self.server.behind + self.path, headers={"Accept": self.headers["Accept"]})) as response:
            self.answer(200, response.read(), **{"Content-Type": response.headers["Content-Type"]})

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_tokens_and_redirects(platform, registry):
    registry.push(platform, TOOLS, "app", "token")
    door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    door.behind, door.asked = f"http://{registry.host}", []
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        name = f"localhost:{door.server_address[1]}/app:token"
        assert "fetched" in platform.run("image", "pull", name).stdout
        platform.run("image", "rm", name)
        assert door.asked and "scope=repository%3Aapp%3Apull" in door.asked[0]
    finally:
        door.shutdown()
