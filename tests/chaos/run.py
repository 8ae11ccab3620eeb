"""From a fresh platform through the storm to an empty machine: the order of things, and the verdict."""

import json
import pathlib
import random
import shutil
import tempfile
import time

from chaos import traces
from chaos.load import Load
from chaos.storm import Rock, Storm
from conftest import TOOLS, tools_directory, wait_for

# How often each is killed, on average, in seconds.
PACES = {"runtime": 0.7, "container": 6, "supervisor": 12, "parked": 8, "spawner": 10, "platform": 15}
# Of the whole time the platform is killed in the first part only: in the rest it shows whether its memory grows.
CRASHES = 0.6
# What the platform may grow by while nothing but calls, changes and kills of others happen.
GROWTH_MB = 40
# Seconds an instance stays warm: instances come and go all the time.
KEEP_WARM = 2


def storm(seconds, seed=None):
    """Runs everything; gives the storm, whose `faults` are what must not have happened."""
    seed = seed or random.randrange(1_000_000)
    print(f"storm of {seconds} s, seed {seed}", flush=True)
    platform = Rock(tempfile.mkdtemp(prefix="dory-chaos-"), "--keep-warm", str(KEEP_WARM), "--async-retry-delays", "0.2,0.4")
    storm = Storm(platform, seed)
    try:
        platform.up()
        tools = tools_directory()
        platform.run("image", "build", tools, "-t", TOOLS)
        shutil.rmtree(tools)
        load = Load(storm)
        load.prepare(TOOLS)
        through(storm, load, seconds)
        settled(storm, load)
    finally:
        storm.over.set()
        log = pathlib.Path(platform.data) / "dory.log"
        panics = [line for line in log.read_text(errors="replace").splitlines() if "panicked" in line] if log.exists() else []
        storm.faults += [f"the log: {line}" for line in panics]
        platform.run("down", check=False)
        try:
            wait_for("nothing to be left", lambda: not storm.traces.left(), 5)
        except AssertionError:
            storm.fault(f"left behind: {json.dumps(storm.traces.left(), indent=1)[:5000]}")
        if storm.faults:
            shutil.copy(log, tempfile.gettempdir() + "/dory-chaos.log")
        shutil.rmtree(platform.data, ignore_errors=True)
    return storm


def through(storm, load, seconds):
    """The storm itself."""
    began = time.monotonic()
    threads = storm.start(load.workers())
    due = {kind: began + storm.random.expovariate(1 / pace) for kind, pace in PACES.items()}
    # A short storm has one crash at least.
    due["platform"] = began + seconds * CRASHES / 3
    calm = None
    while time.monotonic() < began + seconds:
        kind = min(due, key=due.get)
        time.sleep(max(0.0, min(due[kind], began + seconds) - time.monotonic()))
        due[kind] = time.monotonic() + storm.random.expovariate(1 / PACES[kind])
        if kind == "platform" and time.monotonic() > began + seconds * CRASHES:
            due[kind] = began + 2 * seconds
            # What is needed once is there now.
            calm = calm or traces.size(storm.platform.pid)
            continue
        storm.kill(kind)
        storm.traces.look()
    storm.over.set()
    [thread.join() for thread in threads]
    grown = traces.size(storm.platform.pid)
    print("size", calm, "->", grown, flush=True)
    if calm and grown["mb"] > calm["mb"] * 1.5 + GROWTH_MB:
        storm.fault(f"memory grew from {calm} to {grown}")


def settled(storm, load):
    """The calm after it."""
    load.settle()
    pid = storm.platform.pid
    metrics = lambda: storm.platform.kubectl("get", "--raw", "/metrics").stdout
    instances = lambda: next(line for line in metrics().splitlines() if line.startswith("dory_function_instances ")).split()[1]
    wait_for("idle instances to end", lambda: instances() == "0", KEEP_WARM + 60)
    wait_for("their processes to end", lambda: not storm.victims("runtime") or instances() == "0", 10)
    held = traces.size(pid)
    print("at rest", held, flush=True)
    # Listeners, pools, databases, watches and a few kept connections; an instance that was forgotten holds five or so.
    if held["fds"] > 200:
        storm.fault(f"descriptors are held at rest: {held}")


def main(seconds="600", seed=None):
    """For the command line."""
    result = storm(float(seconds), seed)
    for what, count in sorted(result.counts.items()):
        print(f"{count:8} {what}")
    print(json.dumps({"name": "chaos_faults", "value": len(result.faults), "unit": "", "target": 0, "ok": not result.faults}))
    for fault in result.faults:
        print(fault)
    return 1 if result.faults else 0
