"""Memory that a burst of objects took comes back when they are gone, and clients that do not read hold none."""

import concurrent.futures
import json
import pathlib
import threading

from chaos.load import fill_events
from chaos.run import EVENTS_MAX
from conftest import wait_for

MAPS, BYTES, CLIENTS = 3000, 30_000, 8
# What the changes that watches and lists may still ask for are allowed to hold on to: the store's history.
REMEMBERED_MB = 32
# Everything else that a burst may leave: connections, buffers, half-empty pages.
LEFT_MB = 30


def create_maps(connect, namespace="burst", count=MAPS, size=BYTES):
    own = threading.local()

    def create(number):
        if not hasattr(own, "connection"):
            own.connection = connect()
        body = json.dumps({"metadata": {"name": f"map-{number}"}, "data": {"text": "x" * size}})
        own.connection.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body, {"Content-Type": "application/json"})
        answer = own.connection.getresponse()
        answer.read()
        return answer.status

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(create, range(count))) == {201}


def test_memory_of_a_burst_comes_back(make_platform, tmp_path):
    platform = make_platform()
    status = pathlib.Path(f"/proc/{platform.pid}/status")
    held = lambda: int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024
    platform.kubectl("create", "namespace", "burst")
    before = held()
    create_maps(platform.connections())
    full = held()
    # Once, and not a tree of each: the text and little more.
    text = MAPS * BYTES / 2**20
    assert text < full - before < 1.6 * text + LEFT_MB, (before, full)
    platform.kubectl("delete", "namespace", "burst")
    # After some seconds, or half a minute where others want the processor.
    wait_for(f"memory to come back: {before} -> {full}", lambda: held() < before + REMEMBERED_MB + LEFT_MB, 120)


def test_clients_that_do_not_read_hold_a_piece_each(make_platform, tmp_path):
    platform = make_platform()
    status = pathlib.Path(f"/proc/{platform.pid}/status")
    held = lambda: int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024
    platform.kubectl("create", "namespace", "big")
    connect = platform.connections()
    maps, readers = 40, 30
    create_maps(connect, "big", maps, 900_000)
    before = held()
    path = "/api/v1/namespaces/big/configmaps"
    open_now = []
    for number in range(readers):
        connection = connect()
        connection.request("GET", path if number % 2 else f"{path}?watch=1")
        # The head of the answer comes, and nobody reads on.
        answer = connection.getresponse()
        assert answer.status == 200
        open_now.append((connection, answer))
    # A piece of 1 MiB and one object beside it, once more in the connection's buffers; not the 35 MB that each asked for.
    assert held() - before < readers * 4 + LEFT_MB, (before, held())
    connection, answer = open_now[1]
    names = [item["metadata"]["name"] for item in json.loads(answer.read())["items"]]
    assert sum(name.startswith("map-") for name in names) == maps, "a list that is read late is whole"
    for connection, _ in open_now:
        connection.close()


def test_the_oldest_of_too_many_events_go(make_platform):
    platform = make_platform()
    before = platform.metric("dory_heap_used_bytes")
    fill_events(platform, EVENTS_MAX + 500)
    names = lambda: {item["metadata"]["name"] for item in platform.get("events", "-n", "default")["items"]}
    left = wait_for("the oldest to go", lambda: (found := names()) and len(found) <= EVENTS_MAX and found, 60)
    assert f"filling-{EVENTS_MAX + 499}" in left and "filling-0" not in left
    # With what watches and lists may still ask for.
    held = platform.metric("dory_heap_used_bytes") - before
    assert held < EVENTS_MAX * 2500 + REMEMBERED_MB * 2**20, held
