"""Starts Python before it is known for which function: compiles the runtime, then waits for the function's environment
on standard input. When that comes, the code is at /var/task, and all goes on as if Python started now.
"""

import os
import sys
import time
import _sitebuiltins

import _json
import _socket

RUNTIME = "/var/runtime/bootstrap.py"


def become():
    with open(RUNTIME, encoding="utf-8") as file:
        runtime = compile(file.read(), RUNTIME, "exec")
    given = b""
    while more := os.read(0, 65536):
        given += more
    if not given:
        os._exit(0)  # not needed after all
    env = dict(line.split(b"=", 1) for line in given.split(b"\0") if line)
    for name in [name for name in os.environb if name not in env and name != b"HOME"]:
        del os.environb[name]
    os.environb.update(env)
    sys.argv[:] = [RUNTIME]
    return runtime


runtime = become()
main = type(sys)("__main__")
main.__file__ = RUNTIME
sys.modules["__main__"] = main
exec(runtime, main.__dict__)
