"""Cold starts: booted runtimes become a function's, keep nothing of another, and are told from fresh starts."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import time
import uuid

import pytest
from conftest import wait_for
from test_lambda import ROLE, python_runtime, zipped


def node_runtime():
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return f"nodejs{version.lstrip('v').split('.')[0]}.x"


NODE = """
const fs = require("node:fs");
exports.handler = async () => ({
  env: process.env, argv: process.argv, cwd: process.cwd(), task: fs.readdirSync("/var/task"), tmp: fs.readdirSync("/tmp"),
  input: fs.readFileSync(0, "utf8"),
});
"""
PYTHON = """
import os, sys
def handler(event, context):
    return {"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "task": os.listdir("/var/task"),
            "tmp": os.listdir("/tmp"), "input": sys.stdin.read(), "main": sys.modules["__main__"].__file__}
"""
LANGUAGES = {
    "node": (node_runtime, "index.js", NODE, "waiting.cjs", ("NODE_OPTIONS", "--no-warnings")),
    "python": (python_runtime, "index.py", PYTHON, "waiting.py", ("PYTHONHASHSEED", "0")),
}


def family(root):
    """The processes below this one: id, parent, name and command line of each."""
    all = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue  # It has ended meanwhile.
            all[int(entry.name)] = (int(entry.name), int(rest.split()[1]), name, line)
    def is_below(pid):
        while pid in all and pid != root:
            pid = all[pid][1]
        return pid == root
    return [one for pid, one in all.items() if pid != root and is_below(pid)]


def below(root):
    """The command lines of all processes below this one."""
    return [line for _, _, _, line in family(root)]


@pytest.fixture(params=LANGUAGES)
def function(platform, request):
    """Makes functions of one language and calls them once each; gives the answer and the stages of the start."""
    runtime, file, code, waiting, start_variable = LANGUAGES[request.param]
    client = platform.boto3("lambda")
    made = []

    def call(memory, files=None, **variables):
        name = f"cold-{uuid.uuid4().hex[:8]}"
        made.append(name)
        client.create_function(
            FunctionName=name, Runtime=runtime(), Role=ROLE, Handler="index.handler", MemorySize=memory,
            Code={"ZipFile": zipped(**{file: code, **(files or {})})}, Environment={"Variables": variables},
        )
        answer = client.invoke(FunctionName=name)
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload, platform.run("trace-cold-start", name).stdout

    call.waiting, call.start_variable = waiting, start_variable
    call.booted = lambda: [line for line in below(platform.pid) if waiting in line]
    yield call
    for name in made:
        client.delete_function(FunctionName=name)


def test_a_booted_runtime_becomes_a_function_and_knows_no_other(function):
    memory = 193  # of no other test: a kind of its own
    first, stages = function(memory, {"one.txt": "1"}, OF_THE_FIRST="secret", COMMON="1")
    assert "process" in stages and "assign" not in stages
    assert first["env"]["OF_THE_FIRST"] == "secret"
    wait_for("one is booted ahead", function.booted)
    second, stages = function(memory, {"two.txt": "2"}, COMMON="2", GREETING="hello = world\nagain")
    assert "assign a booted one" in stages and "process" not in stages
    assert "OF_THE_FIRST" not in second["env"]
    assert second["env"]["COMMON"] == "2" and second["env"]["GREETING"] == "hello = world\nagain"
    assert sorted(second["env"]) == sorted({*first["env"], "GREETING"} - {"OF_THE_FIRST"})
    assert "two.txt" in second["task"] and "one.txt" not in second["task"]
    for same in ("argv", "cwd", "tmp", "input"):
        assert second[same] == first[same]
    assert second.get("main") == first.get("main")


def test_what_an_interpreter_reads_at_its_start_makes_a_start_of_its_own(function):
    memory = 194
    name, value = function.start_variable
    function(memory)
    wait_for("one is booted ahead", function.booted)
    answer, stages = function(memory, **{name: value})
    assert answer["env"][name] == value
    assert "process" in stages and "assign" not in stages


def test_none_is_booted_when_it_is_switched_off(make_platform):
    platform = make_platform("--prebooted", "0")
    client = platform.boto3("lambda")
    for name in ("one", "two"):
        client.create_function(
            FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler",
            Code={"ZipFile": zipped(**{"index.py": PYTHON})},
        )
        client.invoke(FunctionName=name)
        assert "process" in platform.run("trace-cold-start", name).stdout
    assert not [line for line in below(platform.pid) if "waiting.py" in line]


def test_a_function_that_never_ran_has_no_stages(platform):
    client = platform.boto3("lambda")
    name = f"never-{uuid.uuid4().hex[:8]}"
    client.create_function(
        FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler",
        Code={"ZipFile": zipped(**{"index.py": PYTHON})},
    )
    refused = platform.run("trace-cold-start", name, check=False)
    assert refused.returncode != 0 and "invoke it, then ask again" in refused.stderr
    client.delete_function(FunctionName=name)
    refused = platform.run("trace-cold-start", "nobody", check=False)
    assert refused.returncode != 0 and "Function not found: nobody" in refused.stderr


def spawner_of(platform):
    """The spawner of a platform, and the instances that it has prepared."""
    parents = {pid: parent for pid, parent, name, _ in family(platform.pid) if name == "dory-spawner"}
    spawner = next(pid for pid, parent in parents.items() if parent not in parents)
    return spawner, [pid for pid, parent in parents.items() if parent == spawner]




@pytest.mark.parametrize("victim", ["prepared", "booted", "spawner"])
def test_what_is_killed_before_the_function_begins_is_replaced(make_platform, victim):
    platform = make_platform("--prebooted", "1" if victim == "booted" else "0")
    client = platform.boto3("lambda")
    for name in ("first", "second"):
        client.create_function(
            FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler",
            Code={"ZipFile": zipped(**{"index.py": "def handler(event, context):\n    return event\n"})},
        )
    client.invoke(FunctionName="first")
    def victims():
        spawner, prepared = spawner_of(platform)
        booted = [pid for pid, _, _, line in family(platform.pid) if "waiting.py" in line]
        # All of the four that are kept while starts come in: another would serve as well.
        return {"prepared": prepared if len(prepared) == 4 else [], "spawner": [spawner], "booted": booted}[victim]
    stopped = wait_for("something to kill", victims)
    # It stands still, gets its order, and is killed before it can read it.
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(client.invoke, FunctionName="second", Payload=b'{"n": 1}')
        time.sleep(0.5)  # Long enough for the order to be there; should it not, what is dead is found out all the same.
        assert not asked.done()
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
        answer = asked.result()
    assert "FunctionError" not in answer and json.loads(answer["Payload"].read()) == {"n": 1}
    # What had its order is a start that failed, and the second try is a part of the invocation; all else never was a start.
    log = platform.run("logs", "second").stdout
    report = next(line for line in log.splitlines() if "REPORT RequestId:" in line)
    assert ("Init Duration" in report) == ("INIT_REPORT" not in log), log
    assert "INIT_REPORT" not in log or (victim == "booted" and "Phase: init\tStatus: error\tError Type: Runtime.ExitError" in log)


LATIN = """# -*- coding: latin-1 -*-
'''What it says of itself.'''
from __future__ import annotations
NAME = "caf\xe9"
ODD = 1 is 1

def fails(value: Undefined):
    return (lambda: 1 // 0)()
"""
COMPILED = """
import sys, traceback
import latin

def handler(event, context):
    try:
        latin.fails(1)
    except ZeroDivisionError as error:
        where = [(frame.filename, frame.lineno, frame.line) for frame in traceback.extract_tb(error.__traceback__)[1:]]
    return {"doc": latin.__doc__, "name": latin.NAME, "annotations": latin.fails.__annotations__, "where": where,
            "profile": sys.getprofile(), "writes": not sys.dont_write_bytecode, "filters": [f[0] for f in sys.modules["warnings"].filters]}
"""


def test_modules_are_what_python_makes_of_them(platform):
    """They are compiled in a way of the runtime's own, which must not show."""
    client = platform.boto3("lambda")
    name = f"cold-{uuid.uuid4().hex[:8]}"
    with_warnings = COMPILED.replace("import sys", "import sys, warnings")
    client.create_function(
        FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler",
        Code={"ZipFile": zipped(**{"index.py": with_warnings, "latin.py": LATIN.encode("latin-1")})})
    answer = client.invoke(FunctionName=name)
    value = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, value
    assert (value["doc"], value["name"], value["annotations"]) == ("What it says of itself.", "café", {"value": "Undefined"})
    assert value["where"] == [["/var/task/latin.py", 8, "return (lambda: 1 // 0)()"]] * 2
    assert value["profile"] is None and value["writes"] and "error" not in value["filters"]
    logs = platform.boto3("logs")
    def warned():
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events if "SyntaxWarning" in event["message"]]
    assert wait_for("the warning", warned)[0].startswith("/var/task/latin.py:5: SyntaxWarning")
    client.delete_function(FunctionName=name)


AT_THE_START = """
import encodings, os, subprocess, sys

def handler(event, context):
    with open("/proc/self/environ") as file:
        began_with = file.read()
    if event:
        return began_with
    codecs = {name: (module.__file__, module.__cached__, module.__spec__.origin, module.__spec__.cached, str(module.__loader__.path))
              for name, module in sys.modules.items() if name.startswith("encodings")}
    program = "import encodings, sys; print(encodings.__file__, sys.path)"
    child = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    return {"codecs": codecs, "place": list(encodings.__path__), "path": sys.path, "child": child.stdout,
            "idna": "b\\xfccher".encode("idna").decode(), "latin": "\\xfc".encode("latin-1").hex(),
            "env": {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH")},
            "known": sorted(place for place in sys.path_importer_cache if place.startswith("/var/runtime"))}
"""


def test_what_stands_ready_for_an_interpreters_start_is_not_seen_later(platform):
    """A Python finds its libraries and codecs in a directory of the platform, and a function finds them where they are."""
    client = platform.boto3("lambda")
    answers = []
    # The second one reads its own start variables, and so has nothing ready.
    for variables in ({}, {"PYTHONHASHSEED": "0"}):
        name = f"cold-{uuid.uuid4().hex[:8]}"
        client.create_function(
            FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler", MemorySize=195,
            Code={"ZipFile": zipped(**{"index.py": AT_THE_START})}, Environment={"Variables": variables})
        for event in (b"{}", b"1"):
            answer = client.invoke(FunctionName=name, Payload=event)
            answers.append(json.loads(answer["Payload"].read()))
            assert "FunctionError" not in answer, answers
        client.delete_function(FunctionName=name)
    ready, ready_began, plain, plain_began = answers
    assert "/var/runtime/python3" in ready_began and "/var/runtime/python3" not in plain_began
    assert ready == plain
    assert ready["idna"] == "xn--bcher-kva" and all(file.endswith(".py") for file, *_ in ready["codecs"].values())


@pytest.mark.parametrize("event", [
    '{"name": "plain", "numbers": [0, -1, 12345678901234567890], "nested": {"a": [true, false, null], "": {}}, "none": []}',
    '{"text": "caf\\u00e9 \\"quoted\\" \\\\ \\n", "floats": [1.5, -0.0, 1e3], "twice": 1, "twice": 2, "\\u00e9": "\\ud83d\\ude00"}',
    '[' * 60 + ']' * 60,
    '{"long": "' + "x" * 5000 + '", "list": [' + ", ".join(str(n) for n in range(500)) + ']}',
    ' "only a string" ',
    '-7',
])
def test_the_first_event_is_read_as_all_others_are(platform, event):
    """The first one finds the accelerator of `json` not loaded yet."""
    client = platform.boto3("lambda")
    name = f"cold-{uuid.uuid4().hex[:8]}"
    code = "def handler(event, context):\n    return {'event': event, 'repr': repr(event)}\n"
    client.create_function(
        FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="index.handler",
        Code={"ZipFile": zipped(**{"index.py": code})}, Environment={"Variables": {"PYTHONHASHSEED": "0"}})
    first, second = (client.invoke(FunctionName=name, Payload=event)["Payload"].read() for _ in range(2))
    client.delete_function(FunctionName=name)
    assert first == second
    assert json.loads(first) == {"event": json.loads(event), "repr": repr(json.loads(event))}
