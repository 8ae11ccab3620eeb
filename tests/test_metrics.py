"""CloudWatch metrics in each of their wire formats, and `/metrics`."""

import concurrent.futures
import datetime
import json

import botocore.exceptions
import pytest
from conftest import wait_for
from test_lambda import ROLE, python_runtime, zipped

CODE = "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('as asked')\n    return 1\n"

FORMATS = ["smithy-rpc-v2-cbor", "json", "query"]


@pytest.fixture(scope="module", params=FORMATS)
def client(platform, request):
    """A client that speaks one of the service's protocols, and no other."""
    import boto3
    from botocore.config import Config

    environment = platform.environment
    session = boto3.session.Session()
    loader = session._session.get_component("data_loader")
    real = loader.load_service_model

    def load(service, *rest, **more):
        model = real(service, *rest, **more)
        if service == "cloudwatch" and "metadata" in model:
            model = {**model, "metadata": {**model["metadata"], "protocol": request.param, "protocols": [request.param]}}
        return model

    loader.load_service_model = load
    return session.client(
        "cloudwatch", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"], aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 0}, parameter_validation=False),
    )


@pytest.fixture(scope="module")
def function(platform):
    """A function that was called three times, and once in vain."""
    awslambda = platform.boto3("lambda")
    awslambda.create_function(FunctionName="measured", Runtime=python_runtime(), Role=ROLE, Handler="main.handler",
                              Code={"ZipFile": zipped(main__py=CODE)})
    for event in ({}, {}, {"fail": True}):
        awslambda.invoke(FunctionName="measured", Payload=json.dumps(event))
    awslambda.put_function_concurrency(FunctionName="measured", ReservedConcurrentExecutions=0)
    with pytest.raises(awslambda.exceptions.TooManyRequestsException):
        awslambda.invoke(FunctionName="measured", Payload="{}")
    yield "measured"
    awslambda.delete_function(FunctionName="measured")


def window():
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"StartTime": now - datetime.timedelta(hours=1), "EndTime": now + datetime.timedelta(minutes=1)}


def test_each_format_is_what_it_says(client):
    seen = []
    client.meta.events.register("before-send.cloudwatch", lambda request, **_: seen.append(request))
    client.list_metrics(Namespace="AWS/Lambda")
    protocol = client.meta.service_model.metadata["protocol"]
    headers = {name.lower() for name in seen[0].headers}
    assert ("smithy-protocol" in headers) == (protocol == "smithy-rpc-v2-cbor")
    assert ("x-amz-target" in headers) == (protocol == "json")


def test_invocations_are_counted_and_timed(client, function):
    dimensions = [{"Name": "FunctionName", "Value": function}]
    found = client.list_metrics(Namespace="AWS/Lambda", Dimensions=dimensions)["Metrics"]
    names = {one["MetricName"] for one in found}
    assert {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"} <= names
    assert {"Name": "Resource", "Value": function} in [pair for one in found for pair in one["Dimensions"]]
    statistic = lambda name, *which, **more: client.get_metric_statistics(
        Namespace="AWS/Lambda", MetricName=name, Dimensions=dimensions, Period=3600, Statistics=list(which), **window(), **more)
    total = lambda name: sum(point["Sum"] for point in statistic(name, "Sum")["Datapoints"])
    assert (total("Invocations"), total("Errors"), total("Throttles")) == (3, 1, 1)
    durations = statistic("Duration", "Average", "Maximum", "SampleCount", ExtendedStatistics=["p50", "p99"])
    assert durations["Label"] == "Duration"
    points = durations["Datapoints"]
    assert sum(point["SampleCount"] for point in points) == 3
    for point in points:
        assert point["Unit"] == "Milliseconds" and 0 < point["Average"] <= point["Maximum"]
        assert point["ExtendedStatistics"]["p50"] <= point["ExtendedStatistics"]["p99"] <= point["Maximum"]
        assert isinstance(point["Timestamp"], datetime.datetime)


def test_what_is_provisioned_has_metrics_of_its_own(platform, client):
    awslambda, name = platform.boto3("lambda"), "kept-" + client.meta.service_model.metadata["protocol"]
    awslambda.create_function(
        FunctionName=name, Runtime=python_runtime(), Role=ROLE, Handler="main.handler", Publish=True,
        Code={"ZipFile": zipped(main__py="import time\ndef handler(event, context):\n    time.sleep(0.2)\n")})
    awslambda.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)
    ready = lambda: awslambda.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")["Status"] == "READY"
    wait_for("the instance is ready", ready)
    dimensions = [{"Name": "FunctionName", "Value": name}, {"Name": "Resource", "Value": f"{name}:1"}]

    def statistic(metric, which, dimensions=dimensions):
        points = client.get_metric_statistics(Namespace="AWS/Lambda", MetricName=metric, Dimensions=dimensions,
                                              Period=3600, Statistics=[which], **window())["Datapoints"]
        return max((point[which] for point in points), default=None)

    calls = 0

    def spilled():
        nonlocal calls
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: awslambda.invoke(FunctionName=name, Qualifier="1"), range(2)))
        calls += 2
        return statistic("ProvisionedConcurrencySpilloverInvocations", "Sum")

    extra = wait_for("two calls at once", spilled, 60)
    assert statistic("ProvisionedConcurrencyInvocations", "Sum") == calls - extra
    assert statistic("ProvisionedConcurrentExecutions", "Maximum") == 1
    assert statistic("ProvisionedConcurrencyUtilization", "Maximum") == 1
    # What ran on demand, and the one instance that is set aside.
    assert statistic("ClaimedAccountConcurrency", "Maximum", []) >= 2
    assert statistic("UnreservedConcurrentExecutions", "Maximum", []) >= 1
    awslambda.delete_function(FunctionName=name)


def test_several_metrics_at_once_and_in_pages(client, function):
    query = lambda id, name, stat: {"Id": id, "MetricStat": {"Period": 60, "Stat": stat, "Metric": {
        "Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": [{"Name": "FunctionName", "Value": function}]}}}
    queries = [query("calls", "Invocations", "Sum"), {**query("slow", "Duration", "p90"), "Label": "slowest"}]
    answer = client.get_metric_data(MetricDataQueries=queries, ScanBy="TimestampAscending", **window())
    calls, slow = answer["MetricDataResults"]
    assert (calls["Id"], sum(calls["Values"]), calls["StatusCode"]) == ("calls", 3, "Complete")
    assert (slow["Label"], len(slow["Values"])) == ("slowest", len(slow["Timestamps"])) and slow["Values"][0] > 0
    assert calls["Timestamps"] == sorted(calls["Timestamps"])
    values, token = 0, None
    for _ in range(20):
        more = {"NextToken": token} if token else {}
        page = client.get_metric_data(MetricDataQueries=queries, MaxDatapoints=1, **window(), **more)
        values += sum(len(one["Values"]) for one in page["MetricDataResults"])
        token = page.get("NextToken")
        if not token:
            break
    assert values == len(calls["Values"]) + len(slow["Values"])


def test_own_metrics_are_put_and_read(client):
    namespace = "Tests/" + client.meta.service_model.metadata["protocol"]
    dimensions = [{"Name": "Queue", "Value": "orders & more"}]
    client.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": "Depth", "Dimensions": dimensions, "Value": 4.5, "Unit": "Count"},
        {"MetricName": "Depth", "Dimensions": dimensions, "Values": [1, 2], "Counts": [3, 1], "Unit": "Count"},
        {"MetricName": "Set", "StatisticValues": {"SampleCount": 2, "Sum": 10, "Minimum": 4, "Maximum": 6}},
    ])
    # Large requests are compressed.
    client.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": f"Many{number}", "Dimensions": dimensions, "Value": number} for number in range(300)])
    names = set()
    for page in client.get_paginator("list_metrics").paginate(Namespace=namespace):
        names |= {one["MetricName"] for one in page["Metrics"]}
    assert len(names) == 302
    points = client.get_metric_statistics(Namespace=namespace, MetricName="Depth", Dimensions=dimensions, Period=3600,
                                          Statistics=["Sum", "SampleCount", "Minimum"], **window())["Datapoints"]
    assert [(sum(p["Sum"] for p in points), sum(p["SampleCount"] for p in points), points[0]["Unit"])] == [(9.5, 5, "Count")]


def test_bad_requests_are_named(client):
    statistic = lambda **more: client.get_metric_statistics(**{
        "Namespace": "AWS/Lambda", "MetricName": "Errors", "Period": 60, "Statistics": ["Sum"], **window(), **more})
    one = {"MetricName": "x", "Value": 1}
    cases = [
        ("InvalidParameterValue", lambda: statistic(Period=7)),
        ("InvalidParameterValue", lambda: statistic(Statistics=["Median"])),
        ("MissingParameter", lambda: statistic(Statistics=[])),
        ("InvalidParameterCombination", lambda: statistic(StartTime=datetime.datetime(2020, 1, 1))),
        ("InvalidParameterValue", lambda: client.put_metric_data(Namespace="AWS/Lambda", MetricData=[one])),
        ("InvalidParameterCombination", lambda: client.put_metric_data(Namespace="A", MetricData=[{**one, "Values": [1]}])),
        ("InvalidParameterValue", lambda: client.put_metric_data(Namespace="A", MetricData=[{**one, "Unit": "Furlongs"}])),
        ("InvalidNextToken", lambda: client.list_metrics(NextToken="nonsense")),
        ("InvalidParameterValue", lambda: client.get_metric_data(
            MetricDataQueries=[{"Id": "e", "Expression": "m1 / m2"}], **window())),
        ("InvalidAction", lambda: client.describe_alarms()),
    ]
    for code, call in cases:
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code, refused.value
        assert refused.value.response["Error"]["Message"]


def test_the_aws_cli_lists_metrics(platform, function):
    shown = platform.aws("cloudwatch", "list-metrics", "--namespace", "AWS/Lambda", "--metric-name", "Invocations",
                         "--dimensions", f"Name=FunctionName,Value={function}")
    assert json.loads(shown.stdout)["Metrics"]


def test_strangers_are_refused_in_the_right_format(platform):
    stranger = platform.boto3("cloudwatch", aws_secret_access_key="wrong" * 8)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        stranger.list_metrics()
    assert refused.value.response["Error"]["Code"] in ("SignatureDoesNotMatch", "InvalidSignatureException")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        platform.boto3("logs", aws_secret_access_key="wrong" * 8).describe_log_groups()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_prometheus_metrics(platform, function):
    text = platform.kubectl("get", "--raw", "/metrics").stdout
    labels = f'{{namespace="default",function="{function}",version="$LATEST"'
    assert f"dory_function_invocations_total{labels}}} 3" in text
    assert f"dory_function_errors_total{labels}}} 1" in text
    assert f"dory_function_throttles_total{labels}}} 1" in text
    assert f'dory_function_duration_seconds_bucket{labels},le="+Inf"}} 3' in text
    assert "dory_function_concurrent_executions 0" in text
