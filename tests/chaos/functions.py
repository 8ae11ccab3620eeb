"""The functions that the storm calls. Each answers with what its event asked, so that a wrong answer shows."""

import io
import subprocess
import zipfile

ROLE = "arn:aws:iam::000000000000:role/dory"

# Says which event it was, and which version of the code ran. An event with a mark leaves a durable trace that can be read
# from outside: an empty role. It signs with what instances have: no SDK is there.
ECHO = """
import datetime, hashlib, hmac, os, time, urllib.error, urllib.parse, urllib.request

def signed(body):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    region, day = os.environ["AWS_REGION"], now[:8]
    host = urllib.parse.urlparse(os.environ["AWS_ENDPOINT_URL"]).netloc
    headers = {"content-type": "application/x-www-form-urlencoded", "host": host, "x-amz-date": now,
               "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"]}
    names = ";".join(sorted(headers))
    canonical = "\\n".join(["POST", "/", "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names,
                           hashlib.sha256(body).hexdigest()])
    scope = f"{day}/{region}/iam/aws4_request"
    text = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (day, region, "iam", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
                                f"SignedHeaders={names}, Signature={key.hex()}")
    return headers

TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}'

def leave(mark):
    body = urllib.parse.urlencode({"Action": "CreateRole", "Version": "2010-05-08", "RoleName": mark,
                                   "AssumeRolePolicyDocument": TRUST}).encode()
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, signed(body))
    try:
        urllib.request.urlopen(request, timeout=5).read()
    except urllib.error.HTTPError as error:
        # It was run twice.
        if error.code != 409:
            raise RuntimeError(error.read().decode())

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    # The record of an event that was given up has the event in it.
    event = event.get("requestPayload", event)
    if "mark" in event:
        leave(event["mark"])
    return {"echo": event, "code": CODE}

def page(event, context):
    return {"statusCode": 200, "body": event.get("rawQueryString", ""), "headers": {"content-type": "text/plain"}}
"""

STREAM = """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  for (let i = 0; i < event.pieces; i += 1) {
    out.write(`${event.word}${i};`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  out.end();
});
"""


def code(version=0):
    """The Python functions, as a zip; `version` is what they call themselves."""
    return zipped("main.py", f"CODE = {version}\n{ECHO}")


def zipped(name, text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def python():
    version = subprocess.run(["python3", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return "python" + ".".join(version.split(".")[:2])


def node():
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return f"nodejs{version.lstrip('v').split('.')[0]}.x"


def create(client, name, version=0, handler="main.handler", **more):
    return client.create_function(FunctionName=name, Runtime=python(), Role=ROLE, Handler=handler, Timeout=20,
                                  Code={"ZipFile": code(version)}, **more)
