"""Defines the checks of Lambda and API Gateway."""

from __future__ import annotations

import json

import urllib3

from ops.conformance.checks import (
    Aws,
    check,
    expect,
    expect_error,
    package_code,
    wait_until,
)


@check("lambda", "An alias invokes the version that it names")
def invoke_alias(aws: Aws) -> None:
    expect(aws.invoke("live", {"body": "x"}), {"statusCode": 200, "body": '"x"', "version": "1"})


@check("lambda", "An error of a function is reported with its message")
def report_function_error(aws: Aws) -> None:
    response = aws.client("lambda").invoke(
        FunctionName=aws.function, Qualifier="live", Payload=json.dumps({"raise": True})
    )
    result = json.loads(response["Payload"].read())
    expect((response.get("FunctionError"), result["errorMessage"]), ("Unhandled", "on purpose"))


@check("lambda", "Publishing new code creates a version, and publishing unchanged code does not")
def publish_versions(aws: Aws) -> None:
    lambda_, name = aws.client("lambda"), aws.function
    lambda_.update_function_code(FunctionName=name, ZipFile=package_code("2"))
    first = lambda_.publish_version(FunctionName=name)["Version"]
    expect((first, lambda_.publish_version(FunctionName=name)["Version"]), ("2", "2"))
    expect(aws.invoke(first, {})["version"], "2")
    expect(aws.invoke("live", {})["version"], "1")


@check("lambda", "An alias keeps the weights of its versions")
def keep_weights(aws: Aws) -> None:
    lambda_ = aws.client("lambda")
    lambda_.update_function_code(FunctionName=aws.function, ZipFile=package_code("canary"))
    version = lambda_.publish_version(FunctionName=aws.function)["Version"]
    weights = {"AdditionalVersionWeights": {version: 0.1}}
    lambda_.update_alias(FunctionName=aws.function, Name="live", RoutingConfig=weights)
    alias = lambda_.get_alias(FunctionName=aws.function, Name="live")
    expect((alias["FunctionVersion"], alias["RoutingConfig"]), ("1", weights))
    lambda_.update_alias(
        FunctionName=aws.function, Name="live", RoutingConfig={"AdditionalVersionWeights": {}}
    )


@check("lambda", "Updating an alias with an outdated revision fails")
def reject_old_revision(aws: Aws) -> None:
    lambda_, name = aws.client("lambda"), aws.function
    revision = lambda_.get_alias(FunctionName=name, Name="live")["RevisionId"]
    arguments = {"FunctionName": name, "Name": "live", "RevisionId": revision}
    lambda_.update_alias(**arguments, Description="first")
    with expect_error("PreconditionFailedException"):
        lambda_.update_alias(**arguments, Description="second")


@check("lambda", "The environment variables of a function are stored")
def store_configuration(aws: Aws) -> None:
    lambda_, variables = aws.client("lambda"), {"Variables": {"A": "1"}}
    lambda_.update_function_configuration(FunctionName=aws.function, Environment=variables)
    stored = lambda_.get_function_configuration(FunctionName=aws.function)
    expect(stored["Environment"]["Variables"], {"A": "1"})


@check("lambda", "A queue's messages invoke a function, and Lambda deletes the messages")
def consume_queue(aws: Aws) -> None:
    lambda_, sqs, url = aws.client("lambda"), aws.client("sqs"), aws.create_queue()
    mapping = lambda_.create_event_source_mapping(
        EventSourceArn=aws.queue_arn(url), FunctionName=aws.function, BatchSize=1
    )
    aws.resources.callback(lambda_.delete_event_source_mapping, UUID=mapping["UUID"])
    sqs.send_message(QueueUrl=url, MessageBody="body")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def is_empty() -> bool:
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return set(counts.values()) == {"0"}

    wait_until(is_empty)


@check("lambda", "A granted permission appears in the function's policy")
def grant_permission(aws: Aws) -> None:
    lambda_, name = aws.client("lambda"), aws.function
    lambda_.add_permission(
        FunctionName=name,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        Qualifier="live",
    )
    policy = json.loads(lambda_.get_policy(FunctionName=name, Qualifier="live")["Policy"])
    expect([statement["Sid"] for statement in policy["Statement"]], ["api"])


def _create_method(aws: Aws) -> dict[str, str]:
    """Creates a REST API whose root resource has the method GET.

    Returns the arguments that identify the method in API calls.
    """
    gateway = aws.client("apigateway")
    api = gateway.create_rest_api(name=aws.new_name())["id"]
    aws.resources.callback(gateway.delete_rest_api, restApiId=api)
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    method = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**method, authorizationType="NONE")
    return method


@check("apigateway", "A mock integration responds over HTTP on a deployed stage")
def respond_with_mock(aws: Aws) -> None:
    gateway = aws.client("apigateway")
    method = _create_method(aws)
    gateway.put_integration(
        **method, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    gateway.put_method_response(**method, statusCode="200")
    body = {"application/json": '{"message": "mock"}'}
    gateway.put_integration_response(**method, statusCode="200", responseTemplates=body)
    gateway.create_deployment(restApiId=method["restApiId"], stageName="v1")
    url = f"{gateway.meta.endpoint_url}/restapis/{method['restApiId']}/v1/_user_request_/"
    with urllib3.PoolManager(ca_certs=aws.authority) as pool:
        response = pool.request("GET", url, timeout=10)
    expect((response.status, response.json()), (200, {"message": "mock"}))


@check("apigateway", "The integration of a mock method has no HTTP method")
def omit_method_of_mock(aws: Aws) -> None:
    gateway = aws.client("apigateway")
    method = _create_method(aws)
    gateway.put_integration(**method, type="MOCK")
    expect("httpMethod" in gateway.get_integration(**method), False)


@check("apigatewayv2", "A WebSocket API with a route and a stage is stored")
def store_websocket_api(aws: Aws) -> None:
    gateway = aws.client("apigatewayv2")
    api = gateway.create_api(
        Name=aws.new_name(), ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.type"
    )["ApiId"]
    aws.resources.callback(gateway.delete_api, ApiId=api)
    gateway.create_route(ApiId=api, RouteKey="$connect")
    gateway.create_stage(ApiId=api, StageName="v1", AutoDeploy=True)
    keys = [route["RouteKey"] for route in gateway.get_routes(ApiId=api)["Items"]]
    expect(keys, ["$connect"])
