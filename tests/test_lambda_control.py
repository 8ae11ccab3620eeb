"""The control plane of Lambda beside functions themselves: layers, tags, policies, function URLs and settings, with boto3."""

import json
import re
import subprocess
import urllib.request

import botocore.exceptions
import pytest
from conftest import TOOLS, wait_for
from test_coldstart import node_runtime
from test_lambda import awslambda, create, invoke, python_runtime, rust_hello, shell_runtime, zipped  # noqa: F401 (fixtures)

ACCOUNT = "arn:aws:lambda:us-east-1:000000000000"


def code_of(error):
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def publish(awslambda, name, files, **more):
    return awslambda.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(**files)}, **more)


def delete_layer(awslambda, name):
    for version in awslambda.list_layer_versions(LayerName=name)["LayerVersions"]:
        awslambda.delete_layer_version(LayerName=name, VersionNumber=version["Version"])


def test_the_life_of_a_layer(platform, awslambda):
    first = publish(awslambda, "Tools_1", {"data__txt": "one"}, Description="first", LicenseInfo="MIT",
                    CompatibleRuntimes=["python3.12", "nodejs22.x"], CompatibleArchitectures=["x86_64"])
    assert (first["Version"], first["LayerArn"]) == (1, f"{ACCOUNT}:layer:Tools_1")
    assert first["LayerVersionArn"] == f"{ACCOUNT}:layer:Tools_1:1"
    assert urllib.request.urlopen(first["Content"]["Location"]).read() == zipped(data__txt="one")
    second = publish(awslambda, f"{ACCOUNT}:layer:Tools_1", {"data__txt": "two"}, CompatibleRuntimes=["python3.12"])
    assert second["Version"] == 2
    got = awslambda.get_layer_version(LayerName="Tools_1", VersionNumber=1)
    assert (got["Description"], got["LicenseInfo"], got["Content"]["CodeSha256"]) == ("first", "MIT", first["Content"]["CodeSha256"])
    by_arn = awslambda.get_layer_version_by_arn(Arn=second["LayerVersionArn"])
    assert by_arn["Version"] == 2 and by_arn["CompatibleRuntimes"] == ["python3.12"]
    versions = awslambda.list_layer_versions(LayerName="Tools_1")["LayerVersions"]
    assert [version["Version"] for version in versions] == [2, 1]
    for_node = awslambda.list_layer_versions(LayerName="Tools_1", CompatibleRuntime="nodejs22.x")["LayerVersions"]
    assert [version["Version"] for version in for_node] == [1]
    pages = awslambda.get_paginator("list_layer_versions").paginate(LayerName="Tools_1", PaginationConfig={"PageSize": 1})
    assert [[version["Version"] for version in page["LayerVersions"]] for page in pages] == [[2], [1]]
    newest = {layer["LayerName"]: layer["LatestMatchingVersion"]["Version"] for layer in awslambda.list_layers()["Layers"]}
    assert newest["Tools_1"] == 2
    arm = awslambda.list_layers(CompatibleArchitecture="arm64")["Layers"]
    assert "Tools_1" not in [layer["LayerName"] for layer in arm]
    assert "Tools_1" in platform.kubectl("get", "layerversions").stdout
    # Numbers are never given twice, and deleting twice is no error.
    for _ in range(2):
        awslambda.delete_layer_version(LayerName="Tools_1", VersionNumber=2)
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_layer_version(LayerName="Tools_1", VersionNumber=2)
    assert publish(awslambda, "Tools_1", {"data__txt": "three"})["Version"] == 3
    delete_layer(awslambda, "Tools_1")
    assert awslambda.list_layer_versions(LayerName="Tools_1")["LayerVersions"] == []


def test_functions_see_their_layers(platform, awslambda, create):
    lower = publish(awslambda, "lower", {"who": "lower", "only": "below", "bin/say": "#!/bin/sh\necho said"})
    upper = publish(awslambda, "upper", {"who": "upper"})
    reply = ("echo \"\\\"$(cat /opt/who) $(cat /opt/only) $(say) "
             "$(touch /opt/x 2>/dev/null && echo written || echo read-only)\\\"\"")
    create("layered", shell_runtime(reply), Layers=[lower["LayerVersionArn"]])
    assert invoke(awslambda, "layered")[1] == "lower below said read-only"
    both = [lower["LayerVersionArn"], upper["LayerVersionArn"]]
    changed = awslambda.update_function_configuration(FunctionName="layered", Layers=both)
    assert [layer["Arn"] for layer in changed["Layers"]] == both and changed["Layers"][0]["CodeSize"] > 0
    assert invoke(awslambda, "layered")[1] == "upper below said read-only"
    # A version that is deleted goes on working where it is used, in new instances too.
    for name in ("lower", "upper"):
        delete_layer(awslambda, name)
    awslambda.update_function_configuration(FunctionName="layered", Layers=both[:1], MemorySize=192)
    assert invoke(awslambda, "layered")[1] == "lower below said read-only"
    with pytest.raises(awslambda.exceptions.InvalidParameterValueException) as refused:
        awslambda.update_function_configuration(FunctionName="layered", Layers=both)
    assert "does not exist" in code_of(refused)[1]
    awslambda.update_function_configuration(FunctionName="layered", Layers=[])
    assert "Layers" not in awslambda.get_function_configuration(FunctionName="layered")
    awslambda.delete_function(FunctionName="layered")


def test_a_bootstrap_may_come_from_a_layer(awslambda, create):
    layer = publish(awslambda, "custom-runtime", {"bootstrap": (
        "#!/bin/sh\nwhile true; do\n  headers=$(mktemp)\n"
        '  curl -sS -D "$headers" -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"\n'
        '  ID=$(grep -i "^lambda-runtime-aws-request-id" "$headers" | tr -d "\\r" | cut -d" " -f2)\n'
        '  . /var/task/handler.sh\n'
        '  curl -sS -o /dev/null -d "$(handle)" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$ID/response"\n'
        "done\n")})
    code = zipped(handler__sh="handle() { echo '\"from a layer\"'; }")
    create("no-bootstrap", code, Layers=[layer["LayerVersionArn"]])
    assert invoke(awslambda, "no-bootstrap")[1] == "from a layer"
    awslambda.delete_function(FunctionName="no-bootstrap")
    delete_layer(awslambda, "custom-runtime")


@pytest.mark.parametrize("runtime, handler, layer, code", [
    (python_runtime(), "main.handler", {"python/shared.py": "WORD = 'python'"},
     {"main__py": "import shared\ndef handler(event, context):\n    return shared.WORD"}),
    (node_runtime(), "main.handler", {"nodejs/node_modules/shared/index.js": "exports.word = 'node';"},
     {"main__js": "const shared = require('shared');\nexports.handler = async () => shared.word;"}),
])
def test_modules_come_from_layers(awslambda, create, runtime, handler, layer, code):
    name = f"modules-{runtime.split('.')[0]}"
    published = publish(awslambda, name, layer)
    create(name, zipped(**code), runtime=runtime, handler=handler, Layers=[published["LayerVersionArn"]])
    assert invoke(awslambda, name)[1] == ("python" if runtime.startswith("python") else "node")
    awslambda.delete_function(FunctionName=name)
    delete_layer(awslambda, name)


def test_who_may_use_a_layer(awslambda):
    publish(awslambda, "open-layer", {"a": "b"})
    which = {"LayerName": "open-layer", "VersionNumber": 1}
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_layer_version_policy(**which)
    statement = {"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*", "OrganizationId": "o-0123456789"}
    added = awslambda.add_layer_version_permission(**which, **statement)
    assert json.loads(added["Statement"])["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}
    shown = awslambda.get_layer_version_policy(**which)
    assert json.loads(shown["Policy"])["Statement"][0]["Resource"] == f"{ACCOUNT}:layer:open-layer:1"
    assert shown["RevisionId"] == added["RevisionId"]
    with pytest.raises(awslambda.exceptions.PreconditionFailedException):
        awslambda.remove_layer_version_permission(**which, StatementId="all", RevisionId="other")
    awslambda.remove_layer_version_permission(**which, StatementId="all", RevisionId=shown["RevisionId"])
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.remove_layer_version_permission(**which, StatementId="all")
    delete_layer(awslambda, "open-layer")


def test_tags(awslambda, create):
    create("tagged", rust_hello(), Tags={"team": "a b", "env": "test"})
    arn = f"{ACCOUNT}:function:tagged"
    assert awslambda.get_function(FunctionName="tagged")["Tags"] == {"team": "a b", "env": "test"}
    awslambda.tag_resource(Resource=arn, Tags={"env": "live", "Größe": ""})
    awslambda.untag_resource(Resource=arn, TagKeys=["team", "never"])
    assert awslambda.list_tags(Resource=arn)["Tags"] == {"env": "live", "Größe": ""}
    for tags in ({"aws:mine": "x"}, {f"key{i}": "x" for i in range(51)}):
        with pytest.raises(awslambda.exceptions.InvalidParameterValueException):
            awslambda.tag_resource(Resource=arn, Tags=tags)
    awslambda.delete_function(FunctionName="tagged")


def test_event_invoke_config(awslambda, create):
    create("evented", rust_hello())
    create("evented-target", rust_hello())
    target = f"{ACCOUNT}:function:evented-target"
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.update_function_event_invoke_config(FunctionName="evented", MaximumRetryAttempts=1)
    put = awslambda.put_function_event_invoke_config(
        FunctionName="evented", MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": target}})
    assert put["FunctionArn"] == f"{ACCOUNT}:function:evented:$LATEST" and put["LastModified"]
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": target}}
    updated = awslambda.update_function_event_invoke_config(FunctionName="evented", MaximumRetryAttempts=2)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (2, 60)
    replaced = awslambda.put_function_event_invoke_config(FunctionName="evented", MaximumEventAgeInSeconds=120)
    assert "MaximumRetryAttempts" not in replaced and replaced["DestinationConfig"]["OnFailure"] == {}
    for wrong in (f"{ACCOUNT}:function:nobody", "arn:aws:sqs:us-east-1:000000000000:queue", "arn:aws:ec2:us-east-1:000000000000:x"):
        with pytest.raises(awslambda.exceptions.InvalidParameterValueException):
            awslambda.put_function_event_invoke_config(
                FunctionName="evented", DestinationConfig={"OnSuccess": {"Destination": wrong}})
    version = awslambda.publish_version(FunctionName="evented")["Version"]
    awslambda.put_function_event_invoke_config(FunctionName="evented", Qualifier=version, MaximumRetryAttempts=1)
    listed = awslambda.list_function_event_invoke_configs(FunctionName="evented")["FunctionEventInvokeConfigs"]
    assert {one["FunctionArn"].rsplit(":", 1)[1] for one in listed} == {"$LATEST", version}
    first = awslambda.list_function_event_invoke_configs(FunctionName="evented", MaxItems=1)
    assert len(first["FunctionEventInvokeConfigs"]) == 1 and first["NextMarker"]
    awslambda.delete_function_event_invoke_config(FunctionName="evented")
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_function_event_invoke_config(FunctionName="evented")
    for name in ("evented", "evented-target"):
        awslambda.delete_function(FunctionName=name)


def test_permissions(awslambda, create):
    create("permitted", rust_hello())
    added = awslambda.add_permission(
        FunctionName="permitted", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bucket", SourceAccount="111111111111")
    statement = json.loads(added["Statement"])
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": "arn:aws:s3:::bucket"}
    policy = awslambda.get_policy(FunctionName="permitted")
    with pytest.raises(awslambda.exceptions.PreconditionFailedException):
        awslambda.add_permission(FunctionName="permitted", StatementId="b", Action="lambda:*", Principal="*", RevisionId="x")
    version = awslambda.publish_version(FunctionName="permitted")["Version"]
    awslambda.create_alias(FunctionName="permitted", Name="live", FunctionVersion=version)
    awslambda.add_permission(FunctionName="permitted", StatementId="b", Action="lambda:InvokeFunction",
                             Principal="arn:aws:iam::111111111111:role/caller", Qualifier="live")
    of_alias = json.loads(awslambda.get_policy(FunctionName="permitted", Qualifier="live")["Policy"])["Statement"]
    assert [one["Resource"] for one in of_alias] == [f"{ACCOUNT}:function:permitted:live"]
    assert len(json.loads(awslambda.get_policy(FunctionName="permitted")["Policy"])["Statement"]) == 1
    awslambda.remove_permission(FunctionName="permitted", StatementId="s3")
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_policy(FunctionName="permitted")
    assert policy["RevisionId"]
    awslambda.delete_function(FunctionName="permitted")


def test_a_policy_as_a_whole(awslambda, create):
    create("governed", rust_hello())
    arn = f"{ACCOUNT}:function:governed"
    document = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": arn}]})
    put = awslambda.put_resource_policy(ResourceArn=arn, Policy=document)
    got = awslambda.get_resource_policy(ResourceArn=arn)
    assert (got["Policy"], got["RevisionId"]) == (document, put["RevisionId"])
    awslambda.remove_permission(FunctionName="governed", StatementId="all")
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.delete_resource_policy(ResourceArn=arn)
    awslambda.put_resource_policy(ResourceArn=arn, Policy=document)
    awslambda.delete_resource_policy(ResourceArn=arn)
    with pytest.raises(awslambda.exceptions.ResourceNotFoundException):
        awslambda.get_resource_policy(ResourceArn=arn)
    awslambda.delete_function(FunctionName="governed")


def test_function_url_configs(awslambda, create):
    create("addressed", shell_runtime("echo '{\"statusCode\": 200, \"body\": \"hi\"}'"))
    cors = {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"],
            "ExposeHeaders": ["x-b"], "AllowCredentials": True, "MaxAge": 60}
    made = awslambda.create_function_url_config(FunctionName="addressed", AuthType="NONE", Cors=cors)
    assert made["Cors"] == cors and made["InvokeMode"] == "BUFFERED" and "LastModifiedTime" not in made
    version = awslambda.publish_version(FunctionName="addressed")["Version"]
    awslambda.create_alias(FunctionName="addressed", Name="live", FunctionVersion=version)
    live = awslambda.create_function_url_config(
        FunctionName="addressed", Qualifier="live", AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
    assert live["FunctionArn"].endswith(":addressed:live") and live["InvokeMode"] == "RESPONSE_STREAM"
    assert live["FunctionUrl"] != made["FunctionUrl"]
    listed = awslambda.list_function_url_configs(FunctionName="addressed")["FunctionUrlConfigs"]
    assert {one["FunctionUrl"] for one in listed} == {made["FunctionUrl"], live["FunctionUrl"]}
    page = awslambda.list_function_url_configs(FunctionName="addressed", MaxItems=1)
    rest = awslambda.list_function_url_configs(FunctionName="addressed", MaxItems=1, Marker=page["NextMarker"])
    assert len(rest["FunctionUrlConfigs"]) == 1 and "NextMarker" not in rest
    changed = awslambda.update_function_url_config(FunctionName="addressed", AuthType="AWS_IAM", Cors={})
    assert changed["AuthType"] == "AWS_IAM" and "Cors" not in changed and changed["FunctionUrl"] == made["FunctionUrl"]
    for wrong in ({"AllowMethods": ["TRACE"]}, {"AllowOrigins": ["example.com"]}):
        with pytest.raises(awslambda.exceptions.InvalidParameterValueException):
            awslambda.update_function_url_config(FunctionName="addressed", Cors=wrong)
    # The URL of an alias runs the version that it names, also when the function has gone on.
    awslambda.update_function_url_config(FunctionName="addressed", Qualifier="live", AuthType="NONE", InvokeMode="BUFFERED")
    for action in ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction"):
        awslambda.add_permission(FunctionName="addressed", Qualifier="live", StatementId=action[7:], Action=action, Principal="*")
    awslambda.update_function_code(FunctionName="addressed", ZipFile=shell_runtime("echo '\"newer\"'"))
    wait_for("the alias's URL", lambda: ask(live["FunctionUrl"]) == "hi")
    for qualifier in ({"Qualifier": "live"}, {}):
        awslambda.delete_function_url_config(FunctionName="addressed", **qualifier)
    assert awslambda.list_function_url_configs(FunctionName="addressed")["FunctionUrlConfigs"] == []
    awslambda.delete_function(FunctionName="addressed")


def ask(url):
    return subprocess.run(["curl", "-sS", url], capture_output=True, text=True).stdout


def test_runtime_and_recursion_settings(awslambda, create):
    create("settled", rust_hello(), TracingConfig={"Mode": "Active"})
    assert awslambda.get_function_configuration(FunctionName="settled")["TracingConfig"] == {"Mode": "Active"}
    assert awslambda.get_runtime_management_config(FunctionName="settled")["UpdateRuntimeOn"] == "Auto"
    awslambda.put_runtime_management_config(FunctionName="settled", UpdateRuntimeOn="FunctionUpdate")
    assert awslambda.get_runtime_management_config(FunctionName="settled")["UpdateRuntimeOn"] == "FunctionUpdate"
    assert "RuntimeVersionArn" not in awslambda.get_runtime_management_config(FunctionName="settled")
    assert awslambda.get_function_recursion_config(FunctionName="settled")["RecursiveLoop"] == "Terminate"
    awslambda.put_function_recursion_config(FunctionName="settled", RecursiveLoop="Allow")
    assert awslambda.get_function_recursion_config(FunctionName="settled")["RecursiveLoop"] == "Allow"
    awslambda.delete_function(FunctionName="settled")


def test_a_function_stays_on_a_version_of_its_runtime(platform, awslambda, create):
    def refused(call, **arguments):
        with pytest.raises(awslambda.exceptions.InvalidParameterValueException) as error:
            call(FunctionName="stays", **arguments)
        return error.value.response["Error"]["Message"]

    made = create("stays", rust_hello())
    arn = made["RuntimeVersionConfig"]["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", arn)
    assert awslambda.get_function(FunctionName="stays")["Configuration"]["RuntimeVersionConfig"] == {"RuntimeVersionArn": arn}
    listed = [one for page in awslambda.get_paginator("list_functions").paginate() for one in page["Functions"]]
    assert not any("RuntimeVersionConfig" in one for one in listed)
    put = awslambda.put_runtime_management_config
    assert "is required" in refused(put, UpdateRuntimeOn="Manual")
    assert "only be given" in refused(put, UpdateRuntimeOn="Auto", RuntimeVersionArn=arn)
    assert arn in refused(put, UpdateRuntimeOn="Manual", RuntimeVersionArn=arn[:-64] + "0" * 64)
    shown = put(FunctionName="stays", UpdateRuntimeOn="Manual", RuntimeVersionArn=arn)
    assert (shown["UpdateRuntimeOn"], shown["RuntimeVersionArn"]) == ("Manual", arn)
    assert awslambda.get_runtime_management_config(FunctionName="stays")["RuntimeVersionArn"] == arn
    assert "FunctionError" not in invoke(awslambda, "stays")[0]
    assert "while UpdateRuntimeOn is Manual" in refused(awslambda.update_function_configuration, Runtime="provided.al2")
    # The runtime gets an image, and with it another version; this function stays where it is.
    platform.run("runtime", "add", "provided.al2023", TOOLS)
    try:
        other = create("goes-on", rust_hello())["RuntimeVersionConfig"]["RuntimeVersionArn"]
        assert other != arn
        assert awslambda.get_function_configuration(FunctionName="stays")["RuntimeVersionConfig"] == {"RuntimeVersionArn": arn}
        assert "FunctionError" not in invoke(awslambda, "stays")[0]
        put(FunctionName="goes-on", UpdateRuntimeOn="Manual", RuntimeVersionArn=other)
    finally:
        platform.run("runtime", "rm", "provided.al2023")
    assert awslambda.get_function_configuration(FunctionName="goes-on")["RuntimeVersionConfig"] == {"RuntimeVersionArn": other}
    awslambda.update_function_configuration(FunctionName="goes-on", MemorySize=256)
    assert "FunctionError" not in invoke(awslambda, "goes-on")[0], "the image was kept for it"
    assert platform.get("function", "goes-on")["spec"]["runtimeManagement"]["image"].startswith("sha256:")
    put(FunctionName="goes-on", UpdateRuntimeOn="Auto")
    assert awslambda.get_function_configuration(FunctionName="goes-on")["RuntimeVersionConfig"] == {"RuntimeVersionArn": arn}
    # An interpreter that is not there any more.
    gone = {"spec": {"runtimeManagement": {"updateRuntimeOn": "Manual", "runtimeVersionArn": arn[:-64] + "0" * 64}}}
    platform.kubectl("patch", "function", "stays", "--type=merge", "-p", json.dumps(gone))
    awslambda.update_function_configuration(FunctionName="stays", MemorySize=256)
    with pytest.raises(botocore.exceptions.ClientError) as error:
        invoke(awslambda, "stays")
    assert "its interpreter has changed" in error.value.response["Error"]["Message"]
    for name in ("stays", "goes-on"):
        awslambda.delete_function(FunctionName=name)


def test_account_settings_count(awslambda, create):
    before = awslambda.get_account_settings()
    made = create("counted", rust_hello())
    after = awslambda.get_account_settings()
    assert after["AccountUsage"]["FunctionCount"] == before["AccountUsage"]["FunctionCount"] + 1
    assert after["AccountUsage"]["TotalCodeSize"] == before["AccountUsage"]["TotalCodeSize"] + made["CodeSize"]
    assert after["AccountLimit"]["TotalCodeSize"] == 80530636800
    awslambda.delete_function(FunctionName="counted")


def test_the_trace_goes_on_and_loops_are_cut(platform, awslambda, create):
    headers = {}
    traced = platform.boto3("lambda")
    traced.meta.events.register("before-sign.lambda.Invoke", lambda request, **_: [
        request.headers.add_header(name, value) for name, value in headers.items()])
    create("traced", zipped(bootstrap=TRACER), TracingConfig={"Mode": "Active"})
    own = invoke(traced, "traced")[1]
    assert own.startswith("Root=1-") and "Sampled=1" in own
    headers["X-Amzn-Trace-Id"] = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
    handed_on = invoke(traced, "traced")[1]
    assert handed_on.startswith(headers["X-Amzn-Trace-Id"]) and ";Lineage=" in handed_on
    # Each time round the lineage counts one more, until the platform sees the loop.
    with pytest.raises(botocore.exceptions.ClientError) as cut:
        for _ in range(40):
            headers["X-Amzn-Trace-Id"] = invoke(traced, "traced")[1]
    assert code_of(cut)[0] == "RecursiveInvocationException"
    awslambda.put_function_recursion_config(FunctionName="traced", RecursiveLoop="Allow")
    assert invoke(traced, "traced")[1]
    awslambda.delete_function(FunctionName="traced")


TRACER = """#!/bin/sh
while true; do
  headers=$(mktemp)
  curl -sS -D "$headers" -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  field() { grep -i "^lambda-runtime-$1:" "$headers" | tr -d "\\r" | cut -d" " -f2-; }
  curl -sS -o /dev/null -d "\\"$(field trace-id)\\"" \\
    "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$(field aws-request-id)/response"
done
"""


def test_what_is_not_there_is_refused_by_name(awslambda):
    durable = "arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/a/b"
    signing = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0"
    calls = {
        "create_code_signing_config": {"AllowedPublishers": {"SigningProfileVersionArns": []}},
        "get_code_signing_config": {"CodeSigningConfigArn": signing},
        "put_function_code_signing_config": {"FunctionName": "f", "CodeSigningConfigArn": signing},
        "create_capacity_provider": {"CapacityProviderName": "c"},
        "list_capacity_providers": {},
        "get_function_scaling_config": {"FunctionName": "f", "Qualifier": "1"},
        "get_durable_execution": {"DurableExecutionArn": durable},
        "delete_durable_execution": {"DurableExecutionArn": durable},
        "pause_durable_execution": {"DurableExecutionArn": durable},
        "resume_durable_execution": {"DurableExecutionArn": durable},
        "send_durable_execution_callback_success": {"CallbackId": "x"},
    }
    for operation, arguments in calls.items():
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            getattr(awslambda, operation)(**arguments)
        code, message = code_of(refused)
        assert code == "InvalidParameterValueException" and "is not supported by dory" in message, (operation, message)
