"""Deploys an empty function behind the embedded API Gateway.

The report compares every route with this function.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.e2e.support.platform import Platform

NAME = "bench-load-baseline"
CODE = """
def handler(event, _context):
    return {"statusCode": 200, "body": "{}"}
"""


@contextmanager
def deploy_empty_function(platform: Platform) -> Iterator[str]:
    """Yields the address of a REST API whose only function returns a constant.

    The API has no authorizer. Deletes the function, its logs and the API at the end.
    """
    functions, gateway = platform.aws("lambda"), platform.aws("apigateway")
    role = functions.get_function_configuration(FunctionName="health-lambda-local")["Role"]
    _delete(platform)
    arn = functions.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Role=role,
        Handler="baseline.handler",
        Code={"ZipFile": _package()},
    )["FunctionArn"]
    try:
        functions.add_permission(
            FunctionName=NAME,
            StatementId="gateway",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
        )
        api = gateway.create_rest_api(name=NAME)["id"]
        [root] = gateway.get_resources(restApiId=api)["items"]
        method = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
        gateway.put_method(**method, authorizationType="NONE")
        gateway.put_integration(
            **method,
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations",
        )
        gateway.create_deployment(restApiId=api, stageName="baseline")
        yield f"{platform.cloud.endpoint}/restapis/{api}/baseline/_user_request_/"
    finally:
        _delete(platform)


def _delete(platform: Platform) -> None:
    """Deletes the function, its logs and the API, also those of an earlier run that was killed."""
    functions, gateway = platform.aws("lambda"), platform.aws("apigateway")
    for api in gateway.get_rest_apis(limit=500)["items"]:
        if api["name"] == NAME:
            gateway.delete_rest_api(restApiId=api["id"])
    pages = functions.get_paginator("list_functions").paginate()
    if any(item["FunctionName"] == NAME for page in pages for item in page["Functions"]):
        functions.delete_function(FunctionName=NAME)
    logs = platform.aws("logs")
    with suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName=f"/aws/lambda/{NAME}")


def _package() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("baseline.py", CODE)
    return content.getvalue()
