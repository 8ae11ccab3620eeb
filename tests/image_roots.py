"""Root file systems for images, made of what this machine has: its Python with AWS's runtime interface client.
No registry is asked."""

import pathlib
import shutil
import subprocess
import sys

from conftest import ROOT

# AWS's client for Python, put there by tools/setup.
PYTHON_CLIENT = ROOT / "target" / "lambda-clients" / "python"


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


def python_root(root, app):
    """This Python and AWS's client for it, with `app` as /srv/app.py; nothing else of the machine."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = pathlib.Path(sys.base_prefix)
    program, library = base / "bin" / version, base / "lib" / version
    unwanted = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "tkinter", "config-*")
    shutil.copytree(library, root / str(library).lstrip("/"), ignore=unwanted, ignore_dangling_symlinks=True)
    client = next(PYTHON_CLIENT.glob("*.so"))
    for needed in {program, *libraries(program, client, *library.glob("lib-dynload/*.so"))}:
        copy(root, needed)
    (root / "usr" / "local" / "bin").mkdir(parents=True, exist_ok=True)
    (root / "usr" / "local" / "bin" / "python3").symlink_to(program)
    shutil.copytree(PYTHON_CLIENT, root / "client", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "srv").mkdir()
    (root / "srv" / "app.py").write_text(app)
    return root
