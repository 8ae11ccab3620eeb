"""A machine with Debian's own kernel, whose control groups are version 2 alone, and one `dory` in it that is reached from
here as any other. It is emulated, so it needs nothing of this host, and is some twenty times slower."""

import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import uuid

import pytest
from conftest import DORY, ROOT, Platform, lasting_ports, wait_for

PLACE = ROOT / "target" / "vm"
DOORS = ("api", "aws", "http", "https")

# The root of the first file system can be no container's parent: everything moves to another one.
INIT = """#!/bin/sh
export PATH=/bin
mkdir -p /proc /sys /dev /new
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=80% root /new
cp -a /bin /sbin /lib /root /main /new/
mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run /new/etc /new/usr/bin /new/var/lib
mount --move /dev /new/dev
exec switch_root /new /main
"""

# A shell on the second serial line, and each door of the platform, which listens on loopback, on the network card.
MAIN = """#!/bin/sh
export PATH=/bin HOME=/root
dmesg -n 1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp
mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in overlay veth bridge nf_tables virtio_pci virtio_net; do modprobe $module; done
echo "127.0.0.1 localhost" >/etc/hosts
ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2
RELAYS
stty -F /dev/ttyS1 raw -echo
echo ready >/dev/ttyS1
while read -r line; do (eval "$line" </dev/null); done </dev/ttyS1 >/dev/ttyS1 2>&1
"""


class Done:
    """What a command in the machine said, in the form of `subprocess`."""

    def __init__(self, returncode, stdout):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stdout


class Machine(Platform):
    """Use as a context: it ends the machine."""

    def __init__(self, files):
        self.host = pathlib.Path(tempfile.mkdtemp(prefix="dory-test-vm-"))
        super().__init__("/var/lib/dory")
        self.ports = dict(zip(DOORS, lasting_ports(len(DOORS))))
        initrd = self.host / "initrd"
        initrd.write_bytes(archive(self.tree(files)))
        forwards = "".join(
            f",hostfwd=tcp:127.0.0.1:{self.ports[door]}-:{line}" for line, door in enumerate(DOORS, 1))
        self.console = self.host / "console.log"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048", "-no-reboot",
             "-display", "none", "-monitor", "none", "-serial", f"file:{self.console}", "-serial", "stdio",
             "-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
             "-kernel", PLACE / "vmlinuz", "-initrd", initrd, "-append", "console=ttyS0 quiet panic=1 no_timer_check rdinit=/init"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        self.lock = threading.Lock()
        threading.Thread(target=self.listen, daemon=True).start()

    def __enter__(self):
        """Waits for the machine's shell."""
        until = time.monotonic() + 300
        while b"ready" not in self.said:
            if self.process.poll() is not None or time.monotonic() > until:
                words = self.words()
                self.__exit__()
                # The emulator's fault: nothing of dory runs before.
                pytest.skip(f"the emulated machine does not start: {words}")
            time.sleep(0.05)
        return self

    def words(self):
        """The last words of its kernel."""
        return self.console.read_text(errors="replace")[-2000:]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.host)

    def tree(self, files):
        """What the machine begins with: path → bytes, or the target of a link."""
        relays = "\n".join(
            f"nc -ll -p {line} -e nc 127.0.0.1 {self.ports[door]} &" for line, door in enumerate(DOORS, 1))
        busybox = pathlib.Path("/bin/busybox").read_bytes()
        tree = {"init": INIT.encode(), "main": MAIN.replace("RELAYS", relays).encode(),
                "bin/busybox": busybox, "bin/dory": DORY.read_bytes(), "sbin/modprobe": "../bin/busybox"}
        commands = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        tree.update({f"bin/{command}": "busybox" for command in commands if command != "busybox"})
        tree.update({str(path.relative_to(PLACE)): path.read_bytes()
                     for path in (PLACE / "lib").rglob("*") if path.is_file() and path.suffix != ".bin"})
        tree.update({f"root/{name}": content for name, content in files.items()})
        return tree

    def listen(self):
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            self.said += chunk

    def shell(self, command, seconds=300):
        """Runs a command in the machine; its exit code and what it printed."""
        mark = uuid.uuid4().hex
        with self.lock:
            self.said = b""
            # Cut in two, so that a line that comes back is not taken for its end.
            self.process.stdin.write(f"{command}; echo {mark[:16]}''{mark[16:]} $?\n".encode())
            self.process.stdin.flush()
            end = f"{mark} ".encode()

            def ended():
                assert self.process.poll() is None, self.words()
                return end in self.said and self.said.endswith(b"\n")

            wait_for(f"`{command}` to end in the machine", ended, seconds)
            text, _, code = self.said.rpartition(end)
        return Done(int(code), text.decode(errors="replace"))

    def run(self, *arguments, check=True):
        done = self.shell(shlex.join(["dory", *map(str, arguments)]))
        assert not check or done.returncode == 0, f"dory {arguments}: {done.stdout}"
        return done

    def up(self):
        ports = [word for door in DOORS for word in (f"--{door}-port", str(self.ports[door]))]
        self.run("up", "--detach", *ports, *self.up_arguments)
        (self.host / "kubeconfig").write_text(self.shell("cat /var/lib/dory/kubeconfig").stdout)
        self.known = {**super().environment, "KUBECONFIG": str(self.host / "kubeconfig")}
        return self

    @property
    def environment(self):
        return self.known

    @property
    def gateway(self):
        return f"http://127.0.0.1:{self.ports['http']}"


def archive(tree):
    """A cpio archive, as the kernel unpacks one: executable files, links, and the directories above them."""
    directories = {str(parent) for path in tree for parent in pathlib.PurePath(path).parents} - {"."}
    entries = [(path, 0o040755, b"") for path in sorted(directories)]
    for path, content in tree.items():
        is_link = isinstance(content, str)
        entries.append((path, 0o120777 if is_link else 0o100755, content.encode() if is_link else content))
    entries.append(("TRAILER!!!", 0, b""))
    out = bytearray()
    for number, (path, mode, content) in enumerate(entries, 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return bytes(out)
