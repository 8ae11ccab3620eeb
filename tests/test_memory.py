"""Memory that a burst of objects took comes back when they are gone."""

import base64
import concurrent.futures
import http.client
import json
import pathlib
import ssl
import threading
import urllib.parse

from conftest import wait_for

MAPS, BYTES, CLIENTS = 3000, 30_000, 8
# What the changes that watches and lists may still ask for are allowed to hold on to: the store's history.
REMEMBERED_MB = 32
# Everything else that a burst may leave: connections, buffers, half-empty pages.
LEFT_MB = 30


def connections(platform, tmp_path):
    """Makes HTTPS connections as kubectl's user."""
    config = json.loads(platform.kubectl("config", "view", "--raw", "-o", "json").stdout)
    user = config["users"][0]["user"]
    for name in ("client-certificate-data", "client-key-data"):
        (tmp_path / name).write_bytes(base64.b64decode(user[name]))
    cluster = config["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    trust.load_cert_chain(tmp_path / "client-certificate-data", tmp_path / "client-key-data")
    server = urllib.parse.urlparse(cluster["server"])
    return lambda: http.client.HTTPSConnection(server.hostname, server.port, context=trust)


def create_maps(connect):
    own = threading.local()

    def create(number):
        if not hasattr(own, "connection"):
            own.connection = connect()
        body = json.dumps({"metadata": {"name": f"map-{number}"}, "data": {"text": "x" * BYTES}})
        own.connection.request("POST", "/api/v1/namespaces/burst/configmaps", body, {"Content-Type": "application/json"})
        answer = own.connection.getresponse()
        answer.read()
        return answer.status

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(create, range(MAPS))) == {201}


def test_memory_of_a_burst_comes_back(make_platform, tmp_path):
    platform = make_platform()
    status = pathlib.Path(f"/proc/{platform.pid}/status")
    held = lambda: int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024
    platform.kubectl("create", "namespace", "burst")
    before = held()
    create_maps(connections(platform, tmp_path))
    full = held()
    # Once, and not a tree of each: the text and little more.
    text = MAPS * BYTES / 2**20
    assert text < full - before < 1.6 * text + LEFT_MB, (before, full)
    platform.kubectl("delete", "namespace", "burst")
    wait_for(f"memory to come back: {before} -> {full}", lambda: held() < before + REMEMBERED_MB + LEFT_MB, 60)
