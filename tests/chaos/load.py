"""What the workers of the storm do: each step makes a few calls and looks whether what comes back is right."""

import json
import threading
import time
import urllib.parse
import urllib.request

import botocore.exceptions
from botocore.config import Config
from chaos import functions
from conftest import deployment, open_url, wait_for

ACCOUNT = "arn:aws:lambda:us-east-1:000000000000:function"
# What befalls a call whose instance, or whose instance's helper, is killed.
RUNTIME = ("runtime", "parked", "spawner")


def fill_events(platform, count):
    """Makes so many Events, none of which is about anything."""
    connection = platform.connections()()
    for number in range(count):
        body = {"metadata": {"name": f"filling-{number}"}, "reason": "Filling", "message": "x" * 100, "type": "Normal",
                "involvedObject": {"kind": "Pod", "namespace": "default", "name": f"pod-{number}"}}
        connection.request("POST", "/api/v1/namespaces/default/events", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
    connection.close()


class Load:
    def __init__(self, storm):
        self.storm, self.platform = storm, storm.platform
        self.client, self.iam = self.connect("lambda"), self.connect("iam")
        self.numbers, self.acknowledged, self.done = 0, set(), set()
        self.lock = threading.Lock()
        self.versions = {}

    def connect(self, service):
        config = Config(retries={"max_attempts": 0}, read_timeout=40, connect_timeout=5, parameter_validation=False,
                        max_pool_connections=30)
        return self.platform.boto3(service, config=config)

    def prepare(self, image):
        """Makes what the workers call."""
        client = self.client
        for name in ("echo", "later", "given-up", "flip"):
            functions.create(client, name)
        client.create_function(FunctionName="stream", Runtime=functions.node(), Role=functions.ROLE, Handler="index.handler",
                               Timeout=20, Code={"ZipFile": functions.zipped("index.js", functions.STREAM)})
        functions.create(client, "page", handler="main.page")
        self.url = client.create_function_url_config(FunctionName="page", AuthType="NONE")["FunctionUrl"]
        open_url(client, "page")
        client.put_function_event_invoke_config(
            FunctionName="later", DestinationConfig={"OnFailure": {"Destination": f"{ACCOUNT}:given-up"}})
        for version in (1, 2):
            client.update_function_code(FunctionName="flip", ZipFile=functions.code(version))
            self.versions[client.publish_version(FunctionName="flip")["Version"]] = version
        client.create_alias(FunctionName="flip", Name="live", FunctionVersion="1")
        self.platform.apply(deployment("web", image=image, command=["sleep", "600"], replicas=2))

    def workers(self):
        return {"sync": self.sync, "sync too": self.sync, "async": self.event, "stream": self.stream, "url": self.page,
                "churn": self.churn, "flip": self.flip, "pods": self.pods, "harvest": self.harvest}

    def number(self):
        with self.lock:
            self.numbers += 1
            return self.numbers

    def call(self, who, name, event, code=0):
        """One synchronous call; whether it was answered. An answer carries what the event asked."""
        began = time.monotonic()
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event))
        value = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            self.storm.count(f"{who}: ended")
            expected = value.get("errorType") == "Runtime.ExitError" and "signal: killed" in value["errorMessage"]
            if not expected or not self.storm.killed(RUNTIME, began):
                self.storm.fault(f"{who}: {answer['FunctionError']} {value}")
            return False
        self.storm.count(f"{who}: answered")
        if value != {"echo": event, "code": code}:
            self.storm.fault(f"{who}: asked {event} of code {code}, answered {value}")
        return True

    def sync(self):
        with self.storm.forgiving("sync", *RUNTIME):
            self.call("sync", "echo", {"number": self.number(), "sleep": self.storm.random.choice([0, 0, 0, 0.05, 0.3])})

    def event(self):
        mark = f"done-{self.number()}"
        with self.storm.forgiving("async"):
            self.client.invoke(FunctionName="later", InvocationType="Event", Payload=json.dumps({"mark": mark}))
            with self.lock:
                self.acknowledged.add(mark)
            self.storm.count("async: accepted")
        time.sleep(0.05)

    def stream(self):
        word, pieces = f"w{self.number()}-", self.storm.random.choice([1, 5, 30])
        whole = "".join(f"{word}{piece};" for piece in range(pieces))
        with self.storm.forgiving("stream", *RUNTIME):
            began, text, end = time.monotonic(), b"", None
            answer = self.client.invoke_with_response_stream(
                FunctionName="stream", Payload=json.dumps({"word": word, "pieces": pieces}))
            for part in answer["EventStream"]:
                text += part.get("PayloadChunk", {}).get("Payload", b"")
                end = part.get("InvokeComplete", end)
            killed = end and end.get("ErrorCode") and self.storm.killed(RUNTIME, began)
            text = text.decode()
            # A function that ends before its first byte is answered with an error document.
            right = (whole.startswith(text) or "Runtime.ExitError" in text) if killed else text == whole and end == {}
            self.storm.count("stream: ended" if killed else "stream: answered")
            if not right:
                self.storm.fault(f"stream: wanted {whole}, got {text}, {end}")

    def page(self):
        query = f"number={self.number()}"
        began = time.monotonic()
        with self.storm.forgiving("url", *RUNTIME):
            try:
                # Not every resolver knows names below `localhost`.
                host = urllib.parse.urlparse(self.url).netloc
                request = urllib.request.Request(f"{self.platform.gateway}/?{query}", headers={"Host": host})
                with urllib.request.urlopen(request, timeout=40) as answer:
                    text = answer.read().decode()
                self.storm.count("url: answered")
                if text != query:
                    self.storm.fault(f"url: asked {query}, answered {text}")
            except urllib.error.HTTPError as error:
                self.storm.count(f"url: {error.code}")
                if not (error.code == 502 and self.storm.killed(RUNTIME, began)) and not self.storm.was_down(began):
                    self.storm.fault(f"url: {error.code} {error.read()}")

    def churn(self):
        name, began = f"churn-{self.number()}", time.monotonic()
        with self.storm.forgiving("churn", *RUNTIME):
            functions.create(self.client, name)
            self.call("churn", name, {"number": 0})
            for version in (1, 2):
                # Changes are durable, and seen by the next call, when they are answered.
                self.client.update_function_code(FunctionName=name, ZipFile=functions.code(version), Publish=True)
                self.call("churn", name, {"number": version}, version)
            self.call("churn", f"{name}:1", {"number": 3}, 1)
            self.client.delete_function(FunctionName=name)
            try:
                self.client.invoke(FunctionName=name)
                self.storm.fault(f"churn: {name} answers after it was deleted")
            except self.client.exceptions.ResourceNotFoundException:
                self.storm.count("churn: deleted")

    def flip(self):
        with self.storm.forgiving("flip", *RUNTIME):
            version = self.storm.random.choice(sorted(self.versions))
            self.client.update_alias(FunctionName="flip", Name="live", FunctionVersion=version)
            for _ in range(3):
                self.call("flip", "flip:live", {"number": self.number()}, self.versions[version])

    def pods(self):
        began = time.monotonic()
        with self.storm.forgiving("pods"):
            self.platform.kubectl("scale", "deployment/web", f"--replicas={self.storm.random.choice([0, 1, 2, 3])}")
            self.platform.kubectl("rollout", "status", "deployment/web", "--timeout=3s", check=False)
            pods = [pod for pod in self.platform.get("pods", "-l", "app=web")["items"]
                    if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]]
            for pod in pods[:1]:
                word = f"word-{self.number()}"
                done = self.platform.kubectl("exec", pod["metadata"]["name"], "--", "echo", word, check=False)
                self.storm.count("pods: exec" if done.returncode == 0 else "pods: exec failed")
                killed = self.storm.killed(("supervisor", "container"), began - 15) or self.storm.was_down(began)
                # A connection that breaks off is a success without output to kubectl, over SPDY.
                cut_off = not done.stdout and self.storm.was_down(began)
                if done.stdout.strip() != word and not cut_off and not (done.returncode and killed):
                    self.storm.fault(f"pods: exec of {word}: {done.returncode} {done.stdout!r} {done.stderr!r}")

    def harvest(self):
        """Collects the marks that events left, and makes room."""
        with self.storm.forgiving("harvest"):
            for page in self.iam.get_paginator("list_roles").paginate():
                for role in page["Roles"]:
                    if role["RoleName"].startswith("done-"):
                        self.done.add(role["RoleName"])
                        self.iam.delete_role(RoleName=role["RoleName"])
        time.sleep(1)

    def settle(self):
        """After the storm: nothing was lost, everything works, and what is not used is given back."""

        def all_done():
            self.harvest()
            return self.acknowledged <= self.done

        try:
            wait_for("all acknowledged events to have run", all_done, 180)
        except AssertionError:
            lost = sorted(self.acknowledged - self.done)
            self.storm.fault(f"async: {len(lost)} acknowledged events were lost: {lost[:20]}")
        for name, code in (("echo", 0), ("flip:1", 1), ("flip:2", 2)):
            self.call("after", name, {"number": self.number()}, code)
        self.platform.kubectl("scale", "deployment/web", "--replicas=0")
        wait_for("the pods to go", lambda: not self.platform.get("pods", "-l", "app=web")["items"], 90)
        self.platform.kubectl("scale", "deployment/web", "--replicas=2")
        self.platform.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        for page in self.client.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                if function["FunctionName"].startswith("churn-"):
                    self.client.delete_function(FunctionName=function["FunctionName"])
