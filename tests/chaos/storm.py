"""A storm: what happens while everything is called, changed and killed at once, and what is forgiven because of it."""

import collections
import contextlib
import http.client
import os
import pathlib
import random
import signal
import threading
import time
import urllib.error

import botocore.exceptions
import urllib3.exceptions
from chaos import traces
from conftest import Platform, lasting_ports, wait_for

# How a connection breaks off when the platform is killed under it.
CUT_OFF = (botocore.exceptions.HTTPClientError, botocore.exceptions.ResponseStreamingError, urllib3.exceptions.HTTPError,
           urllib.error.URLError, http.client.HTTPException, OSError)
# What one kill may do to a call that runs, or that starts shortly after.
AFTERSHOCK = 3.0


class Rock(Platform):
    """A platform on ports that stay the same when it is started again."""

    def __init__(self, directory, *up):
        ports = [str(port) for port in lasting_ports(4)]
        names = ("--api-port", "--aws-port", "--http-port", "--https-port")
        super().__init__(directory, *[word for pair in zip(names, ports) for word in pair], *up)
        self.known = None

    def up(self):
        self.run("up", "--detach", *self.up_arguments)
        return self

    @property
    def gateway(self):
        return f"http://127.0.0.1:{self.up_arguments[5]}"

    @property
    def environment(self):
        # Ports and credentials outlive the process.
        self.known = self.known or super().environment
        return self.known


class Storm:
    """Workers that call, a killer that kills, and the list of what must not have happened."""

    def __init__(self, platform, seed):
        self.platform, self.random = platform, random.Random(seed)
        self.traces = traces.Traces(platform.data)
        self.over = threading.Event()
        self.kills, self.outages = collections.deque(maxlen=10_000), []
        self.counts, self.faults = collections.Counter(), []
        # Megabytes a minute, where the storm was long enough to say.
        self.growth = None
        self.lock = threading.Lock()

    def fault(self, what):
        """Something happened that no kill explains."""
        with self.lock:
            self.faults.append(f"{time.strftime('%H:%M:%S')} {what}")
            print("FAULT", self.faults[-1], flush=True)

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def is_down(self):
        return bool(self.outages) and self.outages[-1][1] is None

    def killed(self, kinds, began):
        """Whether one of these was killed while a call ran that began then, or shortly before."""
        return any(kind in kinds and at >= began - AFTERSHOCK for kind, at in list(self.kills))

    def was_down(self, began):
        return any(end is None or end >= began - AFTERSHOCK for _, end in self.outages)

    @contextlib.contextmanager
    def forgiving(self, who, *kinds):
        """Takes what a kill explains for granted, and everything else for a fault. A stopped platform explains all."""
        began = time.monotonic()
        try:
            yield
        except CUT_OFF as error:
            self.count(f"{who}: cut off")
            if not self.was_down(began):
                self.fault(f"{who}: the connection broke off: {type(error).__name__} {error}")
        except botocore.exceptions.ClientError as error:
            self.count(f"{who}: refused: {error.response['Error'].get('Message', '')[:150]}")
            if not self.was_down(began) and not self.killed(kinds, began):
                self.fault(f"{who}: {error}")
        except Exception as error:
            self.count(f"{who}: failed: {type(error).__name__} {error}"[:200])
            if not self.was_down(began):
                self.fault(f"{who}: {type(error).__name__} {error}")

    def work(self, who, step):
        """Takes one step after the other until the storm is over."""
        while not self.over.is_set():
            if self.is_down():
                time.sleep(0.05)
                continue
            step()

    def start(self, workers):
        threads = [threading.Thread(target=self.work, args=pair, name=pair[0]) for pair in workers.items()]
        [thread.start() for thread in threads]
        return threads

    def victims(self, kind):
        """The processes of one kind."""
        group, data = self.traces.group, str(self.platform.data)
        found = []
        for pid, command, groups in traces.processes():
            helper = f" shim instances {data}" in command
            if kind == "runtime" and f"/{group}/instances/" in groups and not helper:
                found.append(pid)
            elif kind == "parked" and helper and not self.is_spawner(pid):
                found.append(pid)
            elif kind == "spawner" and helper and self.is_spawner(pid):
                found.append(pid)
            elif kind == "supervisor" and f" shim pod {data}" in command:
                found.append(pid)
            elif kind == "container" and f"/{group}/pods/" in groups and " shim " not in command:
                found.append(pid)
        return found

    def is_spawner(self, pid):
        with contextlib.suppress(OSError, ValueError):
            return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[1]) == self.platform.pid
        return False

    def kill(self, kind):
        """Kills one of a kind with no warning; the platform itself is started again."""
        if kind == "platform":
            return self.crash()
        victims = self.victims(kind)
        if victims:
            # Noted first: what follows from it may be seen before the call returns.
            self.kills.append((kind, time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(victims), signal.SIGKILL)
            self.kills.append((kind, time.monotonic()))
            self.count(f"kills of a {kind}")

    def crash(self):
        self.traces.look()
        outage = [time.monotonic(), None]
        self.outages.append(outage)
        os.kill(self.platform.pid, signal.SIGKILL)
        self.count("kills of a platform")
        wait_for("the lock to go", lambda: "not running" in self.platform.run("status", check=False).stdout)
        self.platform.up()
        outage[1] = time.monotonic()
