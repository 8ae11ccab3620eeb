"""The Node and Python runtimes, one behaviour at a time, as handlers on Lambda know them."""

import base64
import json
import subprocess

import pytest

from test_lambda import invoke, python_runtime, zipped

ROLE = "arn:aws:iam::000000000000:role/any"

# Prints which descriptors a shell has, and what it knows of the pipes to the Runtime API.
LOOK = 'for f in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$f ] && printf "$f "; done; echo "$_DORY_RUNTIME_API_FDS"'

NODE = """
exports.context = async (event, context) => {
  console.log('said', { a: 1 });
  return { event, name: context.functionName, arn: context.invokedFunctionArn, memory: context.memoryLimitInMB,
           custom: context.clientContext?.custom, foo: process.env.FOO };
};
exports.callback = (event, context, callback) => { setTimeout(() => {}, 50); callback(null, 'called back'); };
exports.impatient = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setTimeout(() => {}, 60000);
  callback(null, 'did not wait');
};
exports.callbackError = (event, context, callback) => callback(new TypeError('not good'));
exports.throws = async () => { throw Object.assign(new Error('boom'), { name: 'MyError', code: 42 }); };
exports.text = async () => { throw 'only text'; };
exports.nothing = async () => {};
exports.plain = () => {};
exports.never = async () => { await new Promise(() => {}); };
exports.late = async () => { setTimeout(() => { throw new Error('late'); }, 20); await new Promise((r) => setTimeout(r, 2000)); };
exports.rejects = async () => { Promise.reject(new Error('rejected')); await new Promise((r) => setTimeout(r, 2000)); };
exports.exits = async () => process.exit(3);
let calls = 0;
exports.after = async () => { setTimeout(() => { throw new Error('after its answer'); }, 5); return ++calls; };
exports.child = async () => require('child_process').execFileSync('/bin/sh', ['-c', process.env.LOOK]).toString();
exports.large = async () => 'x'.repeat(6 * 1024 * 1024 + 200);
"""

PYTHON = """
import os, sys
print('loaded')
def context(event, context):
    print('said')
    return {'event': event, 'name': context.function_name, 'arn': context.invoked_function_arn,
            'memory': context.memory_limit_in_mb, 'custom': context.client_context.custom,
            'left': context.get_remaining_time_in_millis() > 0}
def throws(event, context):
    raise LookupError('bo\\u00f6m')
def exits(event, context):
    sys.exit(4)
def exits_well(event, context):
    exit(0)
def no_json(event, context):
    return object()
def child(event, context):
    import subprocess
    return subprocess.run(['/bin/sh', '-c', os.environ['LOOK']], close_fds=False, capture_output=True, text=True).stdout
def inside(event, context):
    def write(path):
        try:
            open(path, 'w').write('x')
            return 'written'
        except OSError as error:
            return error.strerror
    return {'task': write('/var/task/x'), 'usr': write('/usr/x'), 'tmp': write('/tmp/x'), 'uid': os.getuid(),
            'processes': [name for name in os.listdir('/proc') if name.isdigit()], 'shadow': os.path.exists('/etc/shadow')}
"""


@pytest.fixture(scope="module")
def node(platform):
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    major = version.lstrip("v").split(".")[0]
    code = zipped(index__js=NODE, syntax__js="exports.x = (;", missing__js="require('nope')",
                  module__mjs="export const handler = async () => 'module';")
    return deployed(platform, "node-runtime", f"nodejs{major}.x", code)


@pytest.fixture(scope="module")
def python(platform):
    code = zipped(main__py=PYTHON, syntax__py="def x(:\n", missing__py="import nope\n", fails__py="1/0\n")
    return deployed(platform, "python-runtime", python_runtime(), code)


def deployed(platform, name, runtime, code):
    """Calls a function of this name with another handler each time; gives the answer, the value and the log."""
    client = platform.boto3("lambda")
    client.create_function(FunctionName=name, Runtime=runtime, Role=ROLE, Handler="index.first", Code={"ZipFile": code},
                           Timeout=10, Environment={"Variables": {"FOO": "bar", "LOOK": LOOK}})

    def call(handler, event=None, **more):
        client.update_function_configuration(FunctionName=name, Handler=handler)
        answer, value = invoke(client, name, event, LogType="Tail", **more)
        return answer.get("FunctionError"), value, base64.b64decode(answer["LogResult"]).decode()

    return call


CONTEXT = base64.b64encode(b'{"custom": {"k": "v"}}').decode()


def test_node_handlers_get_event_and_context(node):
    error, value, log = node("index.context", {"x": "é"}, ClientContext=CONTEXT)
    assert error is None
    assert value == {"event": {"x": "é"}, "name": "node-runtime", "memory": "128", "custom": {"k": "v"}, "foo": "bar",
                     "arn": "arn:aws:lambda:us-east-1:000000000000:function:node-runtime"}
    assert "\tINFO\tsaid { a: 1 }\n" in log


@pytest.mark.parametrize("handler, value", [
    ("index.callback", "called back"), ("index.impatient", "did not wait"), ("index.nothing", None),
    ("index.plain", None), ("module.handler", "module"),
])
def test_node_handlers_answer_in_every_style(node, handler, value):
    error, answered, _ = node(handler)
    assert (error, answered) == (None, value)


@pytest.mark.parametrize("handler, kind, message", [
    ("index.callbackError", "TypeError", "not good"),
    ("index.throws", "MyError", "boom"),
    ("index.text", "string", "only text"),
    ("index.never", "Runtime.NodeJsExit", "a Promise that was never settled"),
    ("index.late", "Error", "late"),
    ("index.rejects", "Runtime.UnhandledPromiseRejection", "Error: rejected"),
    ("index.exits", "Runtime.ExitError", "exit status 3"),
    ("index.large", "Function.ResponseSizeTooLarge", "6291556 bytes"),
    ("index.other", "Runtime.HandlerNotFound", "index.other is undefined or not exported"),
    ("syntax.x", "Runtime.UserCodeSyntaxError", "SyntaxError"),
    ("missing.x", "Runtime.ImportModuleError", "Cannot find module 'nope'"),
    ("absent.x", "Runtime.ImportModuleError", "Cannot find module 'absent'"),
    ("nodot", "Runtime.MalformedHandlerName", "Bad handler"),
])
def test_node_handlers_fail_as_on_lambda(node, handler, kind, message):
    error, value, log = node(handler)
    assert error == "Unhandled" and value["errorType"] == kind and message in value["errorMessage"]
    assert "\nREPORT RequestId: " in log


def test_a_node_that_throws_after_its_answer_ends_at_once(platform, node):
    assert node("index.after")[:2] == (None, 1)
    # The event may still meet the one that is ending, and is then told so; one that hung would keep it for its ten seconds.
    answer, value = invoke(platform.boto3("lambda"), "node-runtime", None)
    assert ("FunctionError" not in answer and value == 1) or value["errorType"] in ("Error", "Runtime.ExitError")


def test_python_handlers_get_event_and_context(python):
    error, value, log = python("main.context", {"x": "é"}, ClientContext=CONTEXT)
    assert error is None
    assert value == {"event": {"x": "é"}, "name": "python-runtime", "memory": "128", "custom": {"k": "v"}, "left": True,
                     "arn": "arn:aws:lambda:us-east-1:000000000000:function:python-runtime"}
    assert "\nsaid\nEND " in log


@pytest.mark.parametrize("handler, kind, message", [
    ("main.throws", "LookupError", "boöm"),
    ("main.exits", "Runtime.ExitError", "exit status 4"),
    ("main.exits_well", "Runtime.ExitError", "Runtime exited without providing a reason"),
    ("main.no_json", "Runtime.MarshalError", "Unable to marshal response"),
    ("main.other", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'main'"),
    ("syntax.x", "Runtime.UserCodeSyntaxError", "Syntax error in module 'syntax'"),
    ("missing.x", "Runtime.ImportModuleError", "Unable to import module 'missing': No module named 'nope'"),
    ("fails.x", "ZeroDivisionError", "division by zero"),
    ("nodot", "Runtime.MalformedHandlerName", "Bad handler 'nodot'"),
])
def test_python_handlers_fail_as_on_lambda(python, handler, kind, message):
    error, value, log = python(handler)
    assert error == "Unhandled" and value["errorType"] == kind and message in value["errorMessage"]
    assert "\nREPORT RequestId: " in log


def test_what_a_function_starts_does_not_see_the_runtime_api(node, python):
    for call, handler in ((node, "index.child"), (python, "main.child")):
        error, value, _ = call(handler)
        assert (error, value) == (None, "0 1 2 \n"), handler


def test_an_instance_is_a_world_of_its_own(python):
    error, value, _ = python("main.inside")
    assert error is None and value["uid"] != 0
    assert value == {"task": "Read-only file system", "usr": "Read-only file system", "tmp": "written", "shadow": False,
                     "processes": ["1"], "uid": value["uid"]}
