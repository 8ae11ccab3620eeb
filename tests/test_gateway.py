"""One gateway for Ingresses and functions, asked with curl as anybody would."""

import json
import subprocess

import pytest
from conftest import deployment, wait_for


def curl(*words):
    """The status code and body that curl saw."""
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *words], capture_output=True, text=True, timeout=30)
    body, _, code = done.stdout.rpartition("\n")
    return code, body


@pytest.fixture(scope="module")
def web(platform):
    """A namespace with two services of the example server."""
    platform.kubectl("create", "namespace", "gateway-tests")
    for name in ("one", "two"):
        platform.apply(deployment(name, replicas=1, env=[{"name": "VERSION", "value": name}]), "-n", "gateway-tests")
        platform.kubectl("expose", "deployment", name, "--port=80", "--target-port=8080", "-n", "gateway-tests")
        platform.kubectl("rollout", "status", f"deployment/{name}", "-n", "gateway-tests", "--timeout=120s")
    yield "gateway-tests"
    platform.kubectl("delete", "namespace", "gateway-tests", "--wait=false")


def rule(host, *paths):
    to_backend = lambda path, kind, service: {
        "path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}
    }
    return {"host": host, "http": {"paths": [to_backend(*path) for path in paths]}}


def ingress(name, *rules, **spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"rules": list(rules), **spec}}


@pytest.mark.kubectl(23)
def test_hosts_and_paths(platform, web):
    rules = [rule("paths.example", ("/", "Prefix", "one"), ("/two", "Prefix", "two"), ("/exact", "Exact", "two")),
             rule("*.wild.example", ("/", "Prefix", "two"))]
    platform.apply(ingress("paths", *rules), "-n", web)
    ask = lambda host, path: curl("-H", f"Host: {host}", platform.gateway + path)
    version = lambda host, path: json.loads(ask(host, path)[1])["version"]
    wait_for("the route", lambda: ask("paths.example", "/")[0] == "200")
    assert version("paths.example", "/") == "one"
    # The path is passed on as it came; the example server knows only / and /healthz, so 404 comes from a pod.
    assert ask("paths.example", "/healthz") == ("200", "ok") or ask("paths.example", "/healthz")[0] == "200"
    assert version("a.wild.example", "/") == "two"
    assert ask("a.b.wild.example", "/")[0] == "404"
    assert ask("unknown.example", "/")[0] == "404"
    platform.kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}=127.0.0.1", "ingress/paths", "-n", web,
                     "--timeout=120s")


def test_tls_from_a_secret(platform, web, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", certificate, "-days", "1", "-subj", "/CN=tls.example", "-addext",
                    "subjectAltName=DNS:tls.example"], check=True, capture_output=True)
    platform.kubectl("create", "secret", "tls", "tls-example", f"--cert={certificate}", f"--key={key}", "-n", web)
    platform.apply(ingress("tls", rule("tls.example", ("/", "Prefix", "one")),
                           tls=[{"hosts": ["tls.example"], "secretName": "tls-example"}]), "-n", web)
    port = platform.endpoints["https_port"]
    ask = lambda: curl("--cacert", str(certificate), "--resolve", f"tls.example:{port}:127.0.0.1",
                       f"https://tls.example:{port}/")
    wait_for("the certificate", lambda: ask()[0] == "200")


def test_a_service_without_endpoints_is_503(platform, web):
    platform.kubectl("create", "service", "clusterip", "empty", "--tcp=80:80", "-n", web)
    platform.apply(ingress("empty", rule("empty.example", ("/", "Prefix", "empty"))), "-n", web)
    wait_for("503", lambda: curl("-H", "Host: empty.example", platform.gateway)[0] == "503")


def test_a_rolling_update_drops_no_request(platform, web):
    platform.apply(ingress("rolling", rule("rolling.example", ("/", "Prefix", "one"))), "-n", web)
    ask = lambda: curl("-H", "Host: rolling.example", platform.gateway)[0]
    wait_for("the route", lambda: ask() == "200")
    update = subprocess.Popen(["kubectl", "set", "image", "deployment/one", "api=my-registry/api-service:1.0.1", "-n", web],
                              env=platform.environment, stdout=subprocess.DEVNULL)
    answers = {ask() for _ in range(150)}
    assert update.wait(timeout=20) == 0
    platform.kubectl("rollout", "status", "deployment/one", "-n", web, "--timeout=120s")
    assert answers == {"200"}


@pytest.mark.kubectl(23)
def test_services_and_names_inside(platform, web):
    script = f"wget -q -O - http://one.{web}.svc.cluster.local/ && wget -q -O - http://two/"
    caller = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "caller"}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": "tools:1", "command": ["sh", "-c", script]}]}}
    platform.apply(caller, "-n", web)
    platform.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/caller", "-n", web, "--timeout=120s")
    assert '"service":"api-service"' in platform.kubectl("logs", "caller", "-n", web).stdout.replace(" ", "")


def test_node_ports_and_cluster_addresses_from_the_host(platform, web):
    platform.kubectl("create", "service", "nodeport", "one-np", "--tcp=80:8080", "-n", web)
    platform.kubectl("patch", "service", "one-np", "-n", web, "-p", '{"spec":{"selector":{"app":"one"}}}')
    spec = platform.get("service", "one-np", "-n", web)["spec"]
    for address in (f"127.0.0.1:{spec['ports'][0]['nodePort']}", f"{spec['clusterIP']}:80"):
        wait_for(address, lambda: curl("--max-time", "2", f"http://{address}/")[0] == "200")


@pytest.mark.kubectl(23)
def test_pods_reach_the_api_with_their_token(platform, web):
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = (f"/usr/bin/curl -sS --cacert {folder}/ca.crt -H \"Authorization: Bearer $(cat {folder}/token)\" "
              f"https://kubernetes.default.svc/api/v1/namespaces/$(cat {folder}/namespace)/pods")
    # The host's curl: busybox has no TLS of today.
    caller = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": {
        "restartPolicy": "Never", "volumes": [{"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}}],
        "containers": [{"name": "main", "image": "tools:1", "command": ["sh", "-c", script],
                        "volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": True}]}]}}
    platform.apply(caller, "-n", web)
    platform.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "-n", web, "--timeout=120s")
    said = json.loads(platform.kubectl("logs", "client", "-n", web).stdout)
    # Known to the server, and allowed nothing.
    assert said["code"] == 403 and f'User "system:serviceaccount:{web}:default" cannot list' in said["message"]
