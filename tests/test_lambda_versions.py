"""Versions and aliases of functions, with the aws CLI, boto3 and kubectl."""

import json
import threading

import pytest
from conftest import wait_for
from test_lambda import ROLE, invoke, shell_runtime, zipped


@pytest.fixture(scope="module")
def awslambda(platform):
    return platform.boto3("lambda")


@pytest.fixture
def function(awslambda, request):
    """A function of the test's own, that answers with its version; gone afterwards."""
    name = "versions-" + request.node.name.removeprefix("test_").replace("_", "-")
    awslambda.create_function(
        FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="bootstrap", Code={"ZipFile": code("first")}
    )
    yield name
    awslambda.delete_function(FunctionName=name)


def code(word):
    return shell_runtime(f'printf \'["%s","{word}","%s"]\' "$AWS_LAMBDA_FUNCTION_VERSION" "$AWS_LAMBDA_LOG_STREAM_NAME"')


def publish_two(awslambda, name):
    awslambda.publish_version(FunctionName=name)
    awslambda.update_function_code(FunctionName=name, ZipFile=code("second"), Publish=True)


def refused(error, call, *arguments, **members):
    with pytest.raises(error) as caught:
        call(*arguments, **members)
    return caught.value.response["Error"]["Message"]


def test_publishing(awslambda, function):
    latest = awslambda.get_function_configuration(FunctionName=function)
    first = awslambda.publish_version(FunctionName=function, Description="one", CodeSha256=latest["CodeSha256"])
    assert (first["Version"], first["Description"], first["State"]) == ("1", "one", "Active")
    assert first["LastUpdateStatus"] == "Successful"
    assert first["FunctionArn"] == latest["FunctionArn"] + ":1" and first["CodeSha256"] == latest["CodeSha256"]
    assert awslambda.publish_version(FunctionName=function)["Version"] == "1", "nothing has changed"
    second = awslambda.update_function_code(FunctionName=function, ZipFile=code("second"), Publish=True)
    assert second["Version"] == "2" and second["CodeSha256"] != first["CodeSha256"]
    awslambda.update_function_configuration(FunctionName=function, MemorySize=192)
    # A number is not used again.
    assert awslambda.publish_version(FunctionName=function)["Version"] == "3"
    awslambda.delete_function(FunctionName=function, Qualifier="3")
    awslambda.update_function_configuration(FunctionName=function, MemorySize=256)
    assert awslambda.publish_version(FunctionName=function)["Version"] == "4"
    assert awslambda.get_function(FunctionName=f"{function}:1")["Configuration"]["MemorySize"] == 128
    answer, (version, word, stream) = invoke(awslambda, f"{function}:1")
    assert (answer["ExecutedVersion"], version, word) == ("1", "1", "first")
    assert "[1]" in stream and stream.count("/") == 3
    answer, (version, word, _) = invoke(awslambda, function, Qualifier="$LATEST")
    assert (answer["ExecutedVersion"], version, word) == ("$LATEST", "$LATEST", "second")
    listed = [one["Version"] for one in awslambda.list_versions_by_function(FunctionName=function)["Versions"]]
    assert listed == ["$LATEST", "1", "2", "4"]
    sha = refused(awslambda.exceptions.InvalidParameterValueException, awslambda.publish_version,
                  FunctionName=function, CodeSha256="AAAA")
    assert "is different from current CodeSHA256 in $LATEST" in sha
    refused(awslambda.exceptions.PreconditionFailedException, awslambda.publish_version,
            FunctionName=function, RevisionId="00000000-0000-0000-0000-000000000000")
    for missing in ("3", "9", "nobody"):
        message = refused(awslambda.exceptions.ResourceNotFoundException, awslambda.get_function,
                          FunctionName=function, Qualifier=missing)
        assert message.endswith(f":function:{function}:{missing}")


def test_publishing_a_new_function(awslambda, request):
    made = awslambda.create_function(
        FunctionName="Born_Published", Runtime="provided.al2023", Role=ROLE, Handler="bootstrap",
        Code={"ZipFile": code("first")}, Publish=True,
    )
    try:
        assert made["Version"] == "1" and made["FunctionArn"].endswith(":function:Born_Published:1")
        assert invoke(awslambda, made["FunctionArn"])[1][0] == "1"
        assert invoke(awslambda, "function:Born_Published:1")[1][0] == "1"
        assert invoke(awslambda, "000000000000:function:Born_Published:1")[1][0] == "1"
    finally:
        awslambda.delete_function(FunctionName="Born_Published")
    refused(awslambda.exceptions.ResourceNotFoundException, awslambda.get_function, FunctionName="Born_Published:1")


def test_revisions_and_dry_runs(awslambda, function):
    before = awslambda.get_function_configuration(FunctionName=function)
    dry = awslambda.update_function_code(FunctionName=function, ZipFile=code("dry"), DryRun=True)
    assert dry["CodeSha256"] != before["CodeSha256"]
    assert awslambda.get_function_configuration(FunctionName=function)["CodeSha256"] == before["CodeSha256"]
    after = awslambda.update_function_configuration(FunctionName=function, RevisionId=before["RevisionId"], Timeout=9)
    assert after["RevisionId"] != before["RevisionId"]
    for call, members in (
        (awslambda.update_function_configuration, {"Timeout": 8}),
        (awslambda.update_function_code, {"ZipFile": code("late")}),
    ):
        refused(awslambda.exceptions.PreconditionFailedException, call,
                FunctionName=function, RevisionId=before["RevisionId"], **members)


def test_aliases(platform, awslambda, function):
    publish_two(awslambda, function)
    made = awslambda.create_alias(FunctionName=function, Name="live", FunctionVersion="1", Description="what runs")
    assert made["AliasArn"].endswith(f":function:{function}:live") and made["FunctionVersion"] == "1"
    assert awslambda.get_alias(FunctionName=function, Name="live")["RevisionId"] == made["RevisionId"]
    answer, (version, _, _) = invoke(awslambda, function, Qualifier="live")
    assert (answer["ExecutedVersion"], version) == ("1", "1")
    shown = awslambda.get_function(FunctionName=made["AliasArn"])["Configuration"]
    assert (shown["FunctionArn"], shown["Version"]) == (made["AliasArn"], "1")
    moved = awslambda.update_alias(FunctionName=function, Name="live", FunctionVersion="2", RevisionId=made["RevisionId"])
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "what runs")
    assert invoke(awslambda, f"{function}:live")[0]["ExecutedVersion"] == "2"
    refused(awslambda.exceptions.PreconditionFailedException, awslambda.update_alias,
            FunctionName=function, Name="live", RevisionId=made["RevisionId"])
    awslambda.create_alias(FunctionName=function, Name="Next_One", FunctionVersion="$LATEST")
    assert invoke(awslambda, f"{function}:Next_One")[0]["ExecutedVersion"] == "$LATEST"
    names = lambda **more: [one["Name"] for one in awslambda.list_aliases(FunctionName=function, **more)["Aliases"]]
    assert names() == ["Next_One", "live"] and names(FunctionVersion="2") == ["live"]
    table = platform.kubectl("get", "functionaliases").stdout
    assert [f"{function}.live", function, "live", "2"] in [line.split()[:4] for line in table.splitlines()]
    conflict = refused(awslambda.exceptions.ResourceConflictException, awslambda.delete_function,
                       FunctionName=function, Qualifier="2")
    assert "live" in conflict
    awslambda.delete_alias(FunctionName=function, Name="live")
    awslambda.delete_alias(FunctionName=function, Name="live")
    refused(awslambda.exceptions.ResourceNotFoundException, awslambda.get_alias, FunctionName=function, Name="live")
    awslambda.delete_function(FunctionName=function, Qualifier="2")


def test_what_aliases_may_not_be(awslambda, function):
    publish_two(awslambda, function)
    awslambda.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    make = lambda **more: (awslambda.create_alias, {"FunctionName": function, "Name": "x", "FunctionVersion": "1", **more})
    weights = lambda **more: {"RoutingConfig": {"AdditionalVersionWeights": {**{"2": 0.5}, **more}}}
    errors = awslambda.exceptions
    for error, (call, members) in (
        (errors.ResourceConflictException, make(Name="live")),
        (errors.ClientError, make(Name="12")),
        (errors.ClientError, make(Name="a b")),
        (errors.ClientError, make(FunctionVersion="new")),
        (errors.ResourceNotFoundException, make(FunctionVersion="7")),
        (errors.ResourceNotFoundException, make(FunctionName="nobody-at-all")),
        (errors.InvalidParameterValueException, make(FunctionVersion="$LATEST", **weights())),
        (errors.InvalidParameterValueException, make(FunctionVersion="2", **weights())),
        (errors.InvalidParameterValueException, make(RoutingConfig={"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}})),
        (errors.ResourceNotFoundException, make(RoutingConfig={"AdditionalVersionWeights": {"3": 0.1}})),
        (errors.ClientError, make(RoutingConfig={"AdditionalVersionWeights": {"2": 1.5}})),
    ):
        assert refused(error, call, **members)
    refused(errors.ResourceNotFoundException, awslambda.update_alias, FunctionName=function, Name="dead", FunctionVersion="1")
    awslambda.update_function_configuration(FunctionName=function, Role="arn:aws:iam::111111111111:role/other")
    awslambda.publish_version(FunctionName=function)
    message = refused(errors.InvalidParameterValueException, awslambda.create_alias, FunctionName=function, Name="x",
                      FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"3": 0.1}})
    assert "same execution role" in message


def test_weights_and_flips(awslambda, function):
    publish_two(awslambda, function)
    awslambda.create_alias(FunctionName=function, Name="live", FunctionVersion="1",
                           RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    ran = lambda: invoke(awslambda, f"{function}:live")[0]["ExecutedVersion"]
    second = sum(ran() == "2" for _ in range(80))
    assert 18 <= second <= 22, f"{second} of 80 went to the version with a quarter"
    seen, ended = [], threading.Event()

    def hammer():
        client_seen = []
        while not ended.is_set():
            client_seen.append((flipped.is_set(), ran()))
        seen.extend(client_seen)

    flipped = threading.Event()
    clients = [threading.Thread(target=hammer) for _ in range(4)]
    for client in clients:
        client.start()
    awslambda.update_alias(FunctionName=function, Name="live", FunctionVersion="2",
                           RoutingConfig={"AdditionalVersionWeights": {}})
    flipped.set()
    after = [ran() for _ in range(30)]
    ended.set()
    for client in clients:
        client.join()
    assert set(after) == {"2"}
    assert seen and {version for late, version in seen if late} <= {"2"}
    assert "RoutingConfig" not in awslambda.get_alias(FunctionName=function, Name="live")


def test_pages(awslambda, function):
    for memory in (192, 256, 320):
        awslambda.update_function_configuration(FunctionName=function, MemorySize=memory)
        awslambda.publish_version(FunctionName=function)
        awslambda.create_alias(FunctionName=function, Name=f"m{memory}", FunctionVersion="1")
    versions = awslambda.get_paginator("list_versions_by_function").paginate(
        FunctionName=function, PaginationConfig={"PageSize": 2})
    assert [[one["Version"] for one in page["Versions"]] for page in versions] == [["$LATEST", "1"], ["2", "3"]]
    aliases = awslambda.get_paginator("list_aliases").paginate(FunctionName=function, PaginationConfig={"PageSize": 2})
    assert [[one["Name"] for one in page["Aliases"]] for page in aliases] == [["m192", "m256"], ["m320"]]
    every = awslambda.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 3})
    arns = [one["FunctionArn"] for page in every for one in page["Functions"]]
    ours = [arn.rsplit(":", 1)[1] for arn in arns if f":function:{function}:" in arn]
    assert ours == ["$LATEST", "1", "2", "3"] and len(arns) == len(set(arns))


def test_objects_of_versions(platform, awslambda, function):
    awslambda.publish_version(FunctionName=function, Description="as kubectl shows it")
    rows = platform.kubectl("get", "functionversions", "-o", "wide").stdout.splitlines()
    assert rows[0].split()[:6] == ["NAME", "FUNCTION", "VERSION", "RUNTIME", "MEMORY", "PROVISIONED"]
    assert any("as kubectl shows it" in row for row in rows)
    (version,) = [one for one in platform.get("functionversions")["items"] if one["spec"].get("description") == "as kubectl shows it"]
    name = version["metadata"]["name"]
    refused_text = platform.kubectl("patch", "functionversion", name, "--type=merge", "-p",
                                    json.dumps({"spec": {"memoryMB": 512}}), check=False).stderr
    assert "a published version cannot be changed" in refused_text
    # What kubectl deletes is gone for the other door, and the garbage collector takes what belonged to a function.
    owner = version["metadata"]["ownerReferences"][0]["name"]
    platform.kubectl("delete", "function", owner)
    wait_for("the version to go with its function",
             lambda: "NotFound" in platform.kubectl("get", "functionversion", name, check=False).stderr)
    awslambda.create_function(FunctionName=function, Runtime="provided.al2023", Role=ROLE, Handler="bootstrap",
                              Code={"ZipFile": zipped(bootstrap="#!/bin/sh\n")})


def test_the_cli(platform, awslambda, function):
    publish_two(awslambda, function)
    aws = lambda *words: json.loads(platform.aws("lambda", *words, "--function-name", function).stdout or "null")
    aws("create-alias", "--name", "live", "--function-version", "1")
    moved = aws("update-alias", "--name", "live", "--routing-config", "AdditionalVersionWeights={2=0.5}")
    assert moved["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    platform.aws("lambda", "wait", "published-version-active", "--function-name", function, "--qualifier", "2")
    assert len(aws("list-versions-by-function")["Versions"]) == 3


def provisioned(awslambda, function, qualifier):
    return awslambda.get_provisioned_concurrency_config(FunctionName=function, Qualifier=qualifier)


def until_ready(awslambda, function, qualifier):
    return wait_for("the instances to be ready", lambda: (
        lambda shown: shown if shown["Status"] == "READY" else None)(provisioned(awslambda, function, qualifier)))


def started_as(awslambda, function, qualifier):
    return invoke(awslambda, function, Qualifier=qualifier)[1][0]


@pytest.fixture
def asked(awslambda, function):
    """A function that answers how its instance was started, published as version 1, and alias live."""
    says = shell_runtime('printf \'["%s"]\' "$AWS_LAMBDA_INITIALIZATION_TYPE"')
    awslambda.update_function_code(FunctionName=function, ZipFile=says, Publish=True)
    awslambda.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    return function


def test_provisioned_instances(platform, awslambda, asked):
    made = awslambda.put_provisioned_concurrency_config(
        FunctionName=asked, Qualifier="live", ProvisionedConcurrentExecutions=2)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["RequestedProvisionedConcurrentExecutions"] == 2
    shown = until_ready(awslambda, asked, "live")
    assert shown["AvailableProvisionedConcurrentExecutions"] == shown["AllocatedProvisionedConcurrentExecutions"] == 2
    assert started_as(awslambda, asked, "live") == "provisioned-concurrency"
    assert started_as(awslambda, asked, "1") == "provisioned-concurrency"
    assert started_as(awslambda, asked, "$LATEST") == "on-demand"
    listed = awslambda.list_provisioned_concurrency_configs(FunctionName=asked)["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"].rsplit(":", 1)[1] for one in listed] == ["live"]
    account = awslambda.get_account_settings()["AccountLimit"]
    assert account["ConcurrentExecutions"] - account["UnreservedConcurrentExecutions"] >= 2
    row = next(line for line in platform.kubectl("get", "functionaliases").stdout.splitlines() if f"{asked}.live" in line)
    assert row.split()[5] == "2"
    awslambda.delete_provisioned_concurrency_config(FunctionName=asked, Qualifier="live")
    wait_for("them to go", lambda: started_as(awslambda, asked, "live") == "on-demand")
    refused(awslambda.exceptions.ProvisionedConcurrencyConfigNotFoundException,
            awslambda.get_provisioned_concurrency_config, FunctionName=asked, Qualifier="live")


def test_what_cannot_be_provisioned(awslambda, asked):
    put = lambda qualifier, wanted: (awslambda.put_provisioned_concurrency_config, {
        "FunctionName": asked, "Qualifier": qualifier, "ProvisionedConcurrentExecutions": wanted})
    errors = awslambda.exceptions
    for error, (call, members) in (
        (errors.InvalidParameterValueException, put("$LATEST", 1)),
        (errors.ClientError, put("1", 0)),
        (errors.ResourceNotFoundException, put("7", 1)),
        (errors.InvalidParameterValueException, put("1", 100_000)),
    ):
        assert refused(error, call, **members)
    awslambda.put_function_concurrency(FunctionName=asked, ReservedConcurrentExecutions=1)
    call, members = put("1", 2)
    assert "reservedConcurrentExecution" in refused(errors.InvalidParameterValueException, call, **members)
    call, members = put("1", 1)
    call(**members)
    until_ready(awslambda, asked, "1")
    call, members = put("live", 1)
    assert "already Provisioned version" in refused(errors.InvalidParameterValueException, call, **members)
    # All of the reservation is provisioned: there is nothing left for $LATEST.
    throttled = pytest.raises(errors.TooManyRequestsException, invoke, awslambda, asked).value.response
    assert throttled["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert throttled["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    assert started_as(awslambda, asked, "1") == "provisioned-concurrency"


def test_provisioning_what_cannot_start(awslambda, function):
    awslambda.update_function_code(FunctionName=function, ZipFile=zipped(bootstrap="#!/bin/sh\nexit 3\n"), Publish=True)
    awslambda.put_provisioned_concurrency_config(FunctionName=function, Qualifier="1", ProvisionedConcurrentExecutions=1)
    shown = wait_for("the failure", lambda: (
        lambda shown: shown if shown["Status"] == "FAILED" else None)(provisioned(awslambda, function, "1")))
    assert "exit status 3" in shown["StatusReason"] and shown["AvailableProvisionedConcurrentExecutions"] == 0
