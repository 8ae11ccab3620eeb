"""Every error that the service model gives to an operation that is served: raised here by a real client, or told why not.

The model is the one that boto3 brings. A case is a call that must fail with the error; where an operation has an error and
there is neither a case nor a reason, the last test fails. Run with -s to see the list."""

import io
import json
import zipfile

import botocore.exceptions
import pytest
from test_lambda import awslambda, create, invoke, rust_hello, zipped  # noqa: F401 (fixtures)

ACCOUNT = "arn:aws:lambda:us-east-1:000000000000"
NOBODY = f"{ACCOUNT}:function:nobody"
HELLO = f"{ACCOUNT}:function:faulty"
NOT_FOUND, CONFLICT, INVALID = "ResourceNotFoundException", "ResourceConflictException", "InvalidParameterValueException"
PRECONDITION, TOO_LONG = "PreconditionFailedException", "PolicyLengthExceededException"

# Errors that nobody can bring about here, whatever the operation.
REASONS = {
    "ServiceException": "only a failure of the machine itself gives it",
    "TooManyRequestsException": "calls of the control plane are not throttled; only invocations are",
    "CodeStorageExceededException": "takes 75 GiB of uploads; a unit test of the rule stands for it",
    "PublicPolicyException": "there is no block of public access to break",
    "CodeSigningConfigNotFoundException": "code signing is refused as a whole",
    "CodeVerificationFailedException": "code signing is refused as a whole",
    "InvalidCodeSignatureException": "code signing is refused as a whole",
    "FunctionVersionsPerCapacityProviderLimitExceededException": "capacity providers are refused as a whole",
    "AliasLimitExceededException": "takes more aliases than a quick test makes",
    "InvalidRuntimeException": "a runtime that cannot run here is refused when the function is made",
    "InvalidZipFileException": "archives are checked when they are uploaded",
    "NoPublishedVersionException": "belongs to capacity providers",
    "ModeNotSupportedException": "belongs to capacity providers",
    "ServiceQuotaExceededException": "there is no quota beside those that have errors of their own",
    "DurableExecutionAlreadyStartedException": "durable executions are refused as a whole",
    "ResourceNotReadyException": "functions are active in the first answer",
    "SerializedRequestEntityTooLargeException": "belongs to payloads that AWS wraps for SnapStart",
    "RuntimeAliasDeletedException": "custom runtimes are refused as a whole",
    "RuntimeVersionDeletedException": "custom runtimes are refused as a whole",
    "CodeArtifactUserDeletedException": "code artifacts are refused as a whole",
    "CodeArtifactUserPendingException": "code artifacts are refused as a whole",
    "CodeArtifactUserFailedException": "code artifacts are refused as a whole",
    "UnsupportedMediaTypeException": "any content type is taken: AWS names none that it refuses",
}
PREFIXES = {
    "KMS": "keys of KMS are refused as a whole", "EFS": "file systems are refused as a whole",
    "S3Files": "file systems are refused as a whole", "EC2": "VPC is refused as a whole",
    "ENI": "VPC is refused as a whole", "InvalidSecurityGroup": "VPC is refused as a whole",
    "InvalidSubnet": "VPC is refused as a whole", "SubnetIP": "VPC is refused as a whole",
    "SnapStart": "SnapStart is refused as a whole",
}
# Errors of single operations that nobody can bring about.
ONLY_THERE = {
    ("PublishLayerVersion", NOT_FOUND): "a layer need not exist before its first version",
    ("DeleteLayerVersion", NOT_FOUND): "deleting what is not there is no error",
    ("ListLayerVersions", NOT_FOUND): "a layer without versions has an empty list",
    ("DeleteAlias", NOT_FOUND): "deleting an alias that is not there is no error",
    ("CreateFunction", NOT_FOUND): "nothing that a new function names is looked up with this error",
    ("Invoke", CONFLICT): "functions are never in a state that forbids invoking them",
    ("InvokeWithResponseStream", CONFLICT): "functions are never in a state that forbids invoking them",
    ("InvokeWithResponseStream", "RecursiveInvocationException"): "the same rule as Invoke's",
    ("Invoke", "RecursiveInvocationException"): "raised in test_lambda_control.py, after seventeen rounds",
    ("AddLayerVersionPermission", TOO_LONG): "raised below, after some eighty statements",
    ("PutResourcePolicy", TOO_LONG): "the model bounds the whole document: refused before, as a ValidationException",
    ("CreateEventSourceMapping", CONFLICT): "raised in test_event_sources.py, by a mapping that is there",
    ("UpdateEventSourceMapping", CONFLICT): "only many clients at the same moment bring it about",
    ("DeleteEventSourceMapping", CONFLICT): "a mapping is deleted whatever its state",
    ("UpdateEventSourceMapping", "ResourceInUseException"): "mappings are never in a state between two others",
    ("DeleteEventSourceMapping", "ResourceInUseException"): "mappings are never in a state between two others",
    ("ListEventSourceMappings", NOT_FOUND): "a function or a queue that is not there has an empty list",
    ("GetEventSourceMapping", INVALID): "what could be wrong is refused before, as a ValidationException",
    ("DeleteEventSourceMapping", INVALID): "what could be wrong is refused before, as a ValidationException",
    ("InvokeAsync", CONFLICT): "functions are never in a state that forbids invoking them",
}
# What could be wrong with these is refused before, as a ValidationException that the model does not name.
VALIDATED = {"GetFunctionRecursionConfig", "PutFunctionRecursionConfig", "GetFunctionCodeSigningConfig", "GetAlias", "DeleteAlias"}
# Conflicts that only many clients at the same moment bring about: a change is tried again eight times.
RACES = {
    "DeleteAlias", "DeleteFunctionConcurrency", "DeleteFunctionEventInvokeConfig", "DeleteFunctionUrlConfig",
    "DeleteProvisionedConcurrencyConfig", "DeleteResourcePolicy", "PublishVersion", "PutFunctionConcurrency",
    "PutFunctionEventInvokeConfig", "PutFunctionRecursionConfig", "PutProvisionedConcurrencyConfig", "PutResourcePolicy",
    "PutRuntimeManagementConfig", "RemoveLayerVersionPermission", "TagResource", "UntagResource", "UpdateAlias",
    "UpdateFunctionCode", "UpdateFunctionConfiguration", "UpdateFunctionEventInvokeConfig", "UpdateFunctionUrlConfig",
}

WEIGHTS = {"AdditionalVersionWeights": {"1": 0.5}}
STATEMENT = {"StatementId": "taken", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
LAYER = {"LayerName": "faulty-layer", "VersionNumber": 1}
LAYER_STATEMENT = {"StatementId": "taken", "Action": "lambda:GetLayerVersion", "Principal": "*"}
LONG = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Sid": f"statement{i}", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": HELLO}
    for i in range(170)]})[:-2]
# A function's name that says one version, and a qualifier that says another.
TORN = {"FunctionName": "faulty:1", "Qualifier": "2"}
TORN_ALIAS = {"FunctionName": "faulty:one", "Qualifier": "two"}


def zip_of(size):
    """An archive that unpacks to `size` bytes of nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("zeros", "w", force_zip64=True) as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    return buffer.getvalue()


def new(**more):
    return {"FunctionName": "faulty-new", "Runtime": "provided.al2023", "Handler": "x", "Role": "arn:aws:iam::000000000000:role/any",
            "Code": {"ZipFile": zipped(bootstrap="x")}, **more}


# What an event source mapping that nobody made is called, and a queue that nobody made.
UUID = "00000000-0000-0000-0000-000000000000"
NO_QUEUE = "arn:aws:sqs:us-east-1:000000000000:nobody"

CASES = [
    ("CreateEventSourceMapping", INVALID, lambda: {"FunctionName": "faulty", "EventSourceArn": NO_QUEUE}),
    ("GetEventSourceMapping", NOT_FOUND, lambda: {"UUID": UUID}),
    ("UpdateEventSourceMapping", INVALID, lambda: {"UUID": UUID, "ParallelizationFactor": 2}),
    ("DeleteEventSourceMapping", NOT_FOUND, lambda: {"UUID": UUID}),
    ("ListEventSourceMappings", INVALID, lambda: {"Marker": "%%%"}),
    ("CreateFunction", CONFLICT, lambda: new(FunctionName="faulty")),
    ("CreateFunction", INVALID, lambda: new(Code={"ZipFile": b"no archive"})),
    ("CreateFunction", INVALID, lambda: new(Layers=[f"{ACCOUNT}:layer:nothing:1"])),
    ("CreateFunction", INVALID, lambda: new(Layers=[f"{ACCOUNT}:layer:l{i}:1" for i in range(6)])),
    ("CreateFunction", INVALID, lambda: new(Tags={f"key{i}": "" for i in range(51)})),
    ("CreateFunction", INVALID, lambda: new(SnapStart={"ApplyOn": "PublishedVersions"})),
    ("CreateFunction", INVALID, lambda: new(VpcConfig={"SubnetIds": ["subnet-1"]})),
    ("CreateFunction", INVALID, lambda: new(FileSystemConfigs=[{"Arn": "arn:aws:elasticfilesystem:x", "LocalMountPath": "/mnt/a"}])),
    ("CreateFunction", INVALID, lambda: new(KMSKeyArn="arn:aws:kms:us-east-1:000000000000:key/a")),
    ("CreateFunction", INVALID, lambda: new(DurableConfig={"ExecutionTimeout": 60})),
    ("CreateFunction", INVALID, lambda: new(TenancyConfig={"TenantIsolationMode": "PER_TENANT"})),
    ("UpdateFunctionCode", INVALID, lambda: {"FunctionName": "faulty"}),
    ("UpdateFunctionCode", PRECONDITION, lambda: {"FunctionName": "faulty", "ZipFile": rust_hello(), "RevisionId": "x"}),
    ("UpdateFunctionConfiguration", INVALID, lambda: {"FunctionName": "faulty", "Runtime": "cobol85"}),
    ("UpdateFunctionConfiguration", PRECONDITION, lambda: {"FunctionName": "faulty", "Timeout": 4, "RevisionId": "x"}),
    ("DeleteFunction", INVALID, lambda: {"FunctionName": "faulty", "Qualifier": "$LATEST"}),
    ("ListFunctions", INVALID, lambda: {"Marker": "%%%"}),
    ("ListLayers", INVALID, lambda: {"Marker": "%%%"}),
    ("ListLayerVersions", INVALID, lambda: {"LayerName": "faulty-layer", "Marker": "%%%"}),
    ("ListFunctionUrlConfigs", INVALID, lambda: {"FunctionName": "faulty", "Marker": "%%%"}),
    ("ListFunctionEventInvokeConfigs", INVALID, lambda: {"FunctionName": "faulty", "Marker": "%%%"}),
    ("ListProvisionedConcurrencyConfigs", INVALID, lambda: {"FunctionName": "faulty", "Marker": "%%%"}),
    ("AddPermission", CONFLICT, lambda: {"FunctionName": "faulty", **STATEMENT}),
    ("AddPermission", INVALID, lambda: {"FunctionName": "faulty", **STATEMENT, "Principal": "nobody"}),
    ("AddPermission", PRECONDITION, lambda: {"FunctionName": "faulty", **STATEMENT, "RevisionId": "x"}),
    ("AddPermission", TOO_LONG, lambda: {"FunctionName": "faulty-long", **STATEMENT, "StatementId": "one-more" * 12}),
    ("RemovePermission", NOT_FOUND, lambda: {"FunctionName": "faulty", "StatementId": "missing"}),
    ("RemovePermission", PRECONDITION, lambda: {"FunctionName": "faulty", "StatementId": "taken", "RevisionId": "x"}),
    ("PutResourcePolicy", INVALID, lambda: {"ResourceArn": HELLO, "Policy": "{}"}),
    ("PutResourcePolicy", PRECONDITION, lambda: {"ResourceArn": HELLO, "Policy": LONG[:LONG.index("}") + 1] + "]}", "RevisionId": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}),
    ("DeleteResourcePolicy", PRECONDITION, lambda: {"ResourceArn": HELLO, "RevisionId": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}),
    ("GetResourcePolicy", INVALID, lambda: {"ResourceArn": f"{ACCOUNT}:runtime/mine"}),
    ("DeleteResourcePolicy", INVALID, lambda: {"ResourceArn": f"{ACCOUNT}:runtime/mine"}),
    ("CreateFunctionUrlConfig", CONFLICT, lambda: {"FunctionName": "faulty", "AuthType": "NONE"}),
    ("CreateFunctionUrlConfig", INVALID, lambda: {"FunctionName": "faulty", "AuthType": "NONE", "Cors": {"AllowMethods": ["TRACE"]}}),
    ("UpdateFunctionUrlConfig", INVALID, lambda: {"FunctionName": "faulty", "Cors": {"AllowOrigins": ["example.com"]}}),
    ("PublishLayerVersion", INVALID, lambda: {"LayerName": "faulty-layer", "Content": {"ZipFile": b"no archive"}}),
    ("PublishLayerVersion", INVALID, lambda: {"LayerName": "faulty-layer", "Content": {"S3Bucket": "abc", "S3Key": "d"}}),
    ("GetLayerVersion", NOT_FOUND, lambda: {"LayerName": "faulty-layer", "VersionNumber": 9}),
    ("GetLayerVersion", INVALID, lambda: {"LayerName": "faulty-layer", "VersionNumber": 0}),
    ("GetLayerVersionByArn", NOT_FOUND, lambda: {"Arn": f"{ACCOUNT}:layer:nothing:1"}),
    ("GetLayerVersionByArn", INVALID, lambda: {"Arn": "arn:aws:lambda:::awslayer:AmazonLinux1703"}),
    ("DeleteLayerVersion", INVALID, lambda: {"LayerName": "faulty-layer", "VersionNumber": 0}),
    ("AddLayerVersionPermission", CONFLICT, lambda: {**LAYER, **LAYER_STATEMENT}),
    ("AddLayerVersionPermission", INVALID, lambda: {**LAYER, **LAYER_STATEMENT, "Principal": "111111111111", "OrganizationId": "o-0123456789"}),
    ("AddLayerVersionPermission", PRECONDITION, lambda: {**LAYER, **LAYER_STATEMENT, "RevisionId": "x"}),
    ("AddLayerVersionPermission", NOT_FOUND, lambda: {**LAYER, **LAYER_STATEMENT, "VersionNumber": 9}),
    ("RemoveLayerVersionPermission", INVALID, lambda: {**LAYER, "VersionNumber": 0, "StatementId": "taken"}),
    ("RemoveLayerVersionPermission", NOT_FOUND, lambda: {**LAYER, "StatementId": "missing"}),
    ("RemoveLayerVersionPermission", PRECONDITION, lambda: {**LAYER, "StatementId": "taken", "RevisionId": "x"}),
    ("GetLayerVersionPolicy", NOT_FOUND, lambda: {**LAYER, "VersionNumber": 9}),
    ("GetLayerVersionPolicy", INVALID, lambda: {**LAYER, "VersionNumber": 0}),
    ("TagResource", NOT_FOUND, lambda: {"Resource": NOBODY, "Tags": {"a": "b"}}),
    ("TagResource", INVALID, lambda: {"Resource": HELLO, "Tags": {"aws:a": "b"}}),
    ("UntagResource", NOT_FOUND, lambda: {"Resource": NOBODY, "TagKeys": ["a"]}),
    ("UntagResource", INVALID, lambda: {"Resource": f"{HELLO}:1", "TagKeys": ["a"]}),
    ("ListTags", NOT_FOUND, lambda: {"Resource": NOBODY}),
    ("ListTags", INVALID, lambda: {"Resource": f"{HELLO}:1"}),
    ("PutRuntimeManagementConfig", INVALID, lambda: {"FunctionName": "faulty", "UpdateRuntimeOn": "Manual"}),
    ("PutFunctionEventInvokeConfig", INVALID, lambda: {"FunctionName": "faulty", "DestinationConfig": {"OnSuccess": {"Destination": NOBODY}}}),
    ("UpdateFunctionEventInvokeConfig", INVALID, lambda: {"FunctionName": "faulty", "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:ec2:us-east-1:000000000000:x"}}}),
    ("PutFunctionConcurrency", INVALID, lambda: {"FunctionName": "faulty", "ReservedConcurrentExecutions": 10**6}),
    ("GetFunctionConcurrency", INVALID, lambda: {"FunctionName": "faulty:1"}),
    ("DeleteFunctionConcurrency", INVALID, lambda: {"FunctionName": "faulty:1"}),
    ("PublishVersion", INVALID, lambda: {"FunctionName": "faulty", "CodeSha256": "x"}),
    ("PublishVersion", PRECONDITION, lambda: {"FunctionName": "faulty", "RevisionId": "x"}),
    ("ListVersionsByFunction", INVALID, lambda: {"FunctionName": "faulty", "Marker": "%%%"}),
    ("ListAliases", INVALID, lambda: {"FunctionName": "faulty", "Marker": "%%%"}),
    ("CreateAlias", CONFLICT, lambda: {"FunctionName": "faulty", "Name": "live", "FunctionVersion": "1"}),
    ("CreateAlias", INVALID, lambda: {"FunctionName": "faulty", "Name": "new", "FunctionVersion": "1", "RoutingConfig": WEIGHTS}),
    ("CreateAlias", NOT_FOUND, lambda: {"FunctionName": "faulty", "Name": "new", "FunctionVersion": "99"}),
    ("GetAlias", NOT_FOUND, lambda: {"FunctionName": "faulty", "Name": "missing"}),
    ("UpdateAlias", INVALID, lambda: {"FunctionName": "faulty", "Name": "live", "RoutingConfig": WEIGHTS}),
    ("UpdateAlias", PRECONDITION, lambda: {"FunctionName": "faulty", "Name": "live", "RevisionId": "x"}),
    ("DeleteFunction", CONFLICT, lambda: {"FunctionName": "faulty", "Qualifier": "1"}),
    ("GetProvisionedConcurrencyConfig", "ProvisionedConcurrencyConfigNotFoundException", lambda: {"FunctionName": "faulty", "Qualifier": "1"}),
    ("InvokeWithResponseStream", "InvalidRequestContentException", lambda: {"FunctionName": "faulty", "Payload": b"{"}),
    ("InvokeWithResponseStream", "RequestTooLargeException", lambda: {"FunctionName": "faulty", "Payload": b'"' + b"x" * (6 << 20) + b'"' + b" " * 200}),
    ("InvokeWithResponseStream", "TooManyRequestsException", lambda: {"FunctionName": "faulty-closed"}),
    ("InvokeAsync", "InvalidRequestContentException", lambda: {"FunctionName": "faulty", "InvokeArgs": b"{"}),
    ("Invoke", INVALID, lambda: TORN),
    ("Invoke", "InvalidRequestContentException", lambda: {"FunctionName": "faulty", "Payload": b"{"}),
    ("Invoke", "RequestTooLargeException", lambda: {"FunctionName": "faulty", "Payload": b'"' + b"x" * (6 << 20) + b'"' + b" " * 200}),
    ("Invoke", "TooManyRequestsException", lambda: {"FunctionName": "faulty-closed"}),
]
# What each operation needs besides the name of a function.
MORE = {
    "CreateEventSourceMapping": {"EventSourceArn": NO_QUEUE}, "UpdateEventSourceMapping": {"UUID": UUID},
    "AddPermission": STATEMENT, "RemovePermission": {"StatementId": "taken"}, "CreateFunctionUrlConfig": {"AuthType": "NONE"},
    "PutFunctionConcurrency": {"ReservedConcurrentExecutions": 0}, "PutFunctionRecursionConfig": {"RecursiveLoop": "Allow"},
    "PutRuntimeManagementConfig": {"UpdateRuntimeOn": "Auto"}, "UpdateFunctionEventInvokeConfig": {"MaximumRetryAttempts": 0},
    "GetProvisionedConcurrencyConfig": {"Qualifier": "1"}, "DeleteProvisionedConcurrencyConfig": {"Qualifier": "1"},
    "PutProvisionedConcurrencyConfig": {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
    "CreateAlias": {"Name": "live", "FunctionVersion": "1"}, "GetAlias": {"Name": "live"}, "UpdateAlias": {"Name": "live"},
    "UpdateFunctionCode": {"ZipFile": zipped(a="b")},
    "InvokeAsync": {"InvokeArgs": b"{}"},
}


def cases(awslambda):
    """Those of the table, and what holds for every operation that names a function."""
    model = awslambda.meta.service_model
    listed = {(operation, error) for operation, error, _ in CASES}
    all_served = list(served(awslambda))
    for operation, error, arguments in CASES:
        if operation in all_served:
            yield operation, error, arguments()
    for operation in all_served:
        shape = model.operation_model(operation)
        errors = {error.name for error in shape.error_shapes}
        members = shape.input_shape.members
        more = MORE.get(operation, {})
        if "ResourceArn" in members and NOT_FOUND in errors:
            policy = {"Policy": LONG[:LONG.index("}") + 1] + "]}"} if operation == "PutResourcePolicy" else {}
            yield operation, NOT_FOUND, {"ResourceArn": NOBODY, **policy}
        if "FunctionName" not in members or operation == "CreateFunction":
            continue
        if NOT_FOUND in errors and (operation, NOT_FOUND) not in ONLY_THERE:
            yield operation, NOT_FOUND, {"FunctionName": "nobody", **more}
        if INVALID in errors and (operation, INVALID) not in listed and "Qualifier" in members:
            yield operation, INVALID, {**more, **(TORN_ALIAS if "Url" in operation else TORN)}


def served(awslambda):
    """The operations that are not refused as a whole: a refusal names the operation."""
    for operation in awslambda.meta.service_model.operation_names:
        try:
            call(awslambda, operation, {"FunctionName": "nobody", "LayerName": "faulty-none", "VersionNumber": 1,
                                        "Resource": NOBODY, "ResourceArn": NOBODY, **MORE.get(operation, {})})
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Message"] == f"The operation {operation} is not supported by dory.":
                continue
        yield operation


def call(awslambda, operation, arguments):
    """Calls with those of the arguments that the operation knows, and something for what its path needs."""
    shape = awslambda.meta.service_model.operation_model(operation).input_shape
    path = {name: "x" for name, member in shape.members.items() if member.serialization.get("location") == "uri"}
    known = {name: value for name, value in {**path, **arguments}.items() if name in shape.members}
    from botocore import xform_name
    return getattr(awslambda, xform_name(operation))(**known)


@pytest.fixture(scope="module")
def faulty(awslambda, create):
    for name in ("faulty", "faulty-long", "faulty-closed"):
        create(name, rust_hello())
    awslambda.add_permission(FunctionName="faulty", **STATEMENT)
    awslambda.put_resource_policy(ResourceArn=f"{ACCOUNT}:function:faulty-long", Policy=fill())
    awslambda.create_function_url_config(FunctionName="faulty", AuthType="AWS_IAM")
    awslambda.put_function_event_invoke_config(FunctionName="faulty", MaximumRetryAttempts=0)
    awslambda.put_function_concurrency(FunctionName="faulty-closed", ReservedConcurrentExecutions=0)
    awslambda.create_alias(FunctionName="faulty", Name="live", FunctionVersion=awslambda.publish_version(FunctionName="faulty")["Version"])
    awslambda.publish_layer_version(LayerName="faulty-layer", Content={"ZipFile": zipped(a="b")})
    awslambda.add_layer_version_permission(**LAYER, **LAYER_STATEMENT)
    yield
    for name in ("faulty", "faulty-long", "faulty-closed"):
        awslambda.delete_function(FunctionName=name)
    awslambda.delete_layer_version(**LAYER)


def fill():
    """A policy that has room for no statement more."""
    arn = f"{ACCOUNT}:function:faulty-long"
    statements = [{"Sid": f"statement{i}", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": arn}
                  for i in range(126)]
    text = json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": statements}, separators=(",", ":"))
    assert 20200 < len(text) <= 20480, len(text)
    return text


def test_each_modelled_error_is_raised_or_has_a_reason(awslambda, faulty):
    raised, wrong = set(), []
    for operation, error, arguments in cases(awslambda):
        try:
            call(awslambda, operation, arguments)
            wrong.append(f"{operation} {arguments}: no error, {error} was due")
        except botocore.exceptions.ClientError as refused:
            code, message = refused.response["Error"]["Code"], refused.response["Error"]["Message"]
            if code == error and message:
                raised.add((operation, error))
            else:
                wrong.append(f"{operation} {arguments}: {code} ({message}), {error} was due")
    assert not wrong, "\n".join(wrong)
    silent = []
    for operation in served(awslambda):
        for error in sorted(shape.name for shape in awslambda.meta.service_model.operation_model(operation).error_shapes):
            reason = why_not(operation, error)
            print(f"{operation:36} {error:40} {'raised' if (operation, error) in raised else reason}")
            if (operation, error) not in raised and not reason:
                silent.append(f"{operation}: {error}")
    assert not silent, "neither a case nor a reason:\n" + "\n".join(silent)
    assert {error for _, error in raised} >= {NOT_FOUND, CONFLICT, INVALID, PRECONDITION, TOO_LONG}


def why_not(operation, error):
    if error == CONFLICT and operation in RACES:
        return "only many clients at the same moment bring it about"
    if error == INVALID and operation in VALIDATED:
        return "what could be wrong is refused before, as a ValidationException"
    prefixed = next((reason for prefix, reason in PREFIXES.items() if error.startswith(prefix)), None)
    return ONLY_THERE.get((operation, error)) or REASONS.get(error) or prefixed


def test_the_policy_of_a_layer_has_its_limit(awslambda):
    awslambda.publish_layer_version(LayerName="wordy", Content={"ZipFile": zipped(a="b")})
    with pytest.raises(awslambda.exceptions.PolicyLengthExceededException):
        for i in range(200):
            awslambda.add_layer_version_permission(
                LayerName="wordy", VersionNumber=1, StatementId=f"{i:0100}", Action="lambda:GetLayerVersion", Principal="*")
    awslambda.delete_layer_version(LayerName="wordy", VersionNumber=1)


def test_a_function_and_its_layers_have_one_size_limit(awslambda, create):
    # More than half of the limit; the same archive twice, which the store keeps once.
    half = zip_of(126 << 20)
    made = awslambda.publish_layer_version(LayerName="half", Content={"ZipFile": half})
    with pytest.raises(awslambda.exceptions.InvalidParameterValueException) as refused:
        create("too-large", half, Layers=[made["LayerVersionArn"]])
    assert "262144000 bytes" in refused.value.response["Error"]["Message"]
    awslambda.delete_layer_version(LayerName="half", VersionNumber=made["Version"])


@pytest.mark.parametrize("operation, arguments, words", [
    ("UpdateFunctionConfiguration", {"FunctionName": "x", "MemorySize": 127}, "greater than or equal to 128"),
    ("UpdateFunctionConfiguration", {"FunctionName": "x", "Role": "me"}, "regular expression pattern: arn:(aws"),
    ("UpdateFunctionConfiguration", {"FunctionName": "x y"}, "'functionName' failed to satisfy constraint"),
    ("PublishLayerVersion", {"LayerName": "l", "Description": "x" * 257, "Content": {}}, "length less than or equal to 256"),
    ("ListLayers", {"MaxItems": 51}, "less than or equal to 50"),
    ("ListLayers", {"CompatibleArchitecture": "mips"}, "enum value set: [x86_64, arm64]"),
    ("AddPermission", {"FunctionName": "x", "StatementId": "a"}, "2 validation errors detected: Value null at 'action'"),
    ("TagResource", {"Resource": HELLO, "Tags": {"a": "x" * 257}}, "Map value must satisfy constraint"),
    ("CreateFunctionUrlConfig", {"FunctionName": "x", "AuthType": "NONE", "Cors": {"MaxAge": -1}}, "'cors.maxAge'"),
    ("PutFunctionRecursionConfig", {"FunctionName": "x", "RecursiveLoop": "Sometimes"}, "[Allow, Terminate]"),
    ("PutFunctionEventInvokeConfig", {"FunctionName": "x", "MaximumEventAgeInSeconds": 59}, "greater than or equal to 60"),
])
def test_constraints_are_told_in_the_words_of_aws(awslambda, operation, arguments, words):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call(awslambda, operation, arguments)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException" and words in error["Message"], error
