"""What a platform leaves on its host: processes, namespaces, control groups, mounts, links, nftables, files."""

import collections
import hashlib
import os
import pathlib
import re
import subprocess

FOLDERS = ("/run", "/tmp", "/dev/shm", "/var/tmp", "/etc", "/root")
NAMESPACES = ("mnt", "net", "pid", "ipc", "uts", "user", "cgroup")


def owner(data):
    """What the control groups and the bridge of this data directory are named after."""
    return hashlib.sha256(os.fsencode(pathlib.Path(data))).hexdigest()[:8]


def processes():
    """Every process: pid, command line, control groups."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield int(folder.name), command, (folder / "cgroup").read_text()
        except OSError:
            continue


def namespaces(pid):
    """The namespaces of a process."""
    found = set()
    for kind in NAMESPACES:
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
        except OSError:
            pass
    return found


def run(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


class Traces:
    """Everything that belongs to one platform, watched while it runs, so that what is left of it is known again."""

    def __init__(self, data):
        self.data = str(data)
        self.group = f"dory-{owner(data)}"
        self.own = namespaces("self")
        self.namespaces = set()
        self.bridges = set()
        self.files = self.top_files()

    def top_files(self):
        return {str(path) for folder in FOLDERS for path in pathlib.Path(folder).glob("*")}

    def look(self):
        """Remembers the namespaces and links that there are now."""
        for pid, _, groups in processes():
            if self.group in groups:
                self.namespaces.add(frozenset(namespaces(pid) - self.own))
        for line in run("ip", "-o", "link"):
            if f"alias dory {owner(self.data)}" in line:
                self.bridges.add(line.split(": ")[1].split("@")[0])

    def is_foreign(self, command, groups):
        """Whether a process is another platform's, such as the one that the tests beside this one use."""
        others = set(re.findall(r"/(dory-[^/\s]+)", groups)) - {self.group}
        return bool(others) or (" shim " in command and self.data not in command)

    def held(self):
        """Processes in the namespaces of this platform. The kernel soon gives the numbers of namespaces that are gone to new ones,
        of others: what counts has all of those that one process had, and is not known to be another's."""
        known = self.namespaces - {frozenset()}
        for pid, command, groups in processes():
            its = frozenset(namespaces(pid) - self.own)
            if its in known and not self.is_foreign(command, groups):
                yield f"{pid}: {command}: {sorted(its)}"

    def left(self):
        """What is still there, by kind; nothing after `dory down`."""
        mine = [(pid, command) for pid, command, groups in processes()
                if self.group in groups or (self.data in command and pid != os.getpid() and "chaos" not in command)]
        mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if self.data in line]
        groups = [str(path) for depth in ("*", "*/*") for path in pathlib.Path("/sys/fs/cgroup").glob(depth) if path.name == self.group]
        # Another platform may have taken the name of the bridge meanwhile: only what still is this one's counts.
        links = [line for line in run("ip", "-o", "link") if f"alias dory {owner(self.data)}" in line]
        named = {line.split(": ")[1].split("@")[0].split("-")[0] for line in run("ip", "-o", "link")}
        gone = self.bridges - {name for name in named if any(name in line and "alias dory" in line for line in run("ip", "-o", "link"))}
        links += [line for line in run("ip", "-o", "link") for name in gone if line.split(": ")[1].startswith(f"{name}-")]
        tables = [line for line in run("nft", "list", "tables") if line.split()[-1] in gone]
        # Others may have files of their own in /tmp.
        names = (owner(self.data), pathlib.Path(self.data).name)
        new = self.top_files() - self.files - {self.data}
        files = [path for path in new if any(name in path for name in names) or ("dory" in path and not path.startswith("/tmp/"))]
        found = {"processes": mine, "namespaces": list(self.held()), "mounts": mounts, "cgroups": groups, "links": links,
                 "nftables": tables, "files": files}
        return {kind: things for kind, things in found.items() if things}


def size(pid):
    """What the platform's own process holds: megabytes, resident and its own alone, descriptors, threads."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    field = lambda name: int(status.split(f"{name}:")[1].split()[0])
    return {"mb": round(field("VmRSS") / 1024, 1), "anon": round(field("RssAnon") / 1024, 1),
            "fds": len(os.listdir(f"/proc/{pid}/fd")), "threads": field("Threads")}


def held(data):
    """What a running platform holds on its host: control groups, mounts, links, and files by the folder of its data."""
    name = f"dory-{owner(data)}"
    groups = {str(path.relative_to("/sys/fs/cgroup")) for depth in ("*", "*/*") for top in pathlib.Path("/sys/fs/cgroup").glob(depth)
              if top.name == name for path in top.rglob("*") if path.is_dir()}
    mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(data) in line]
    links = [line for line in run("ip", "-o", "link") if f"alias dory {owner(data)}" in line]
    files = collections.Counter()
    for folder, _, names in os.walk(data):
        files[pathlib.Path(folder).relative_to(data).parts[:1]] += len(names)
    return {"cgroups": len(groups), "mounts": len(mounts), "links": len(links),
            "files": {"/".join(folder) or ".": count for folder, count in sorted(files.items())}}
