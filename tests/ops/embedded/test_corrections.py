"""Tests corrections of the emulator without a server. Scripts call the corrected functions."""

from __future__ import annotations

from tests.ops.embedded.scripts import run


def test_simultaneous_sign_ups_create_one_user() -> None:
    output = run("""
        import time
        from concurrent.futures import ThreadPoolExecutor
        from ministack.services import cognito
        from ops.embedded.emulator import corrections
        corrections.register_each_address_once()
        pool = {"_users": {}, "_clients": {"client": {}}, "UsernameAttributes": ["email"]}
        cognito._user_pools["pool"] = pool
        # The address was already looked up when the password is checked.
        cognito._validate_password = lambda *_: time.sleep(0.05)

        def sign_up(_):
            data = {"ClientId": "client", "Username": "ann@example.com", "Password": "Passw0rd!"}
            return cognito._sign_up(data)

        with ThreadPoolExecutor(4) as executor:
            print(sorted(response[0] for response in executor.map(sign_up, range(4))))
        print(len(pool["_users"]))
    """)
    assert output.splitlines() == ["[200, 400, 400, 400]", "1"]


def test_a_changed_cloudfront_function_can_be_published() -> None:
    output = run("""
        import base64
        from ministack.services import cloudfront
        from ops.embedded.emulator import corrections
        corrections.return_tag_of_updated_functions()
        code = base64.b64encode(b"function handler(event) { return event.request; }").decode()
        config = "<Comment>Test</Comment><Runtime>cloudfront-js-2.0</Runtime>"
        function = (
            f"<Name>name</Name><FunctionConfig>{config}</FunctionConfig>"
            f"<FunctionCode>{code}</FunctionCode>"
        )
        body = lambda name: f"<{name}>{function}</{name}>".encode()
        _, created, _ = cloudfront._cf_create_function({}, body("CreateFunctionRequest"))
        tag = {"if-match": created["ETag"]}
        request = body("UpdateFunctionRequest")
        status, updated, _ = cloudfront._cf_update_function("name", tag, request)
        print(status, updated["ETtag"] == created["ETag"])
        print(cloudfront._cf_publish_function("name", {"if-match": updated["ETtag"]})[0])
    """)
    assert output.splitlines() == ["200 False", "200"]


def test_all_pages_of_log_events_can_be_read() -> None:
    output = run("""
        import json
        from ministack.services import cloudwatch_logs
        from ops.embedded.emulator import corrections
        corrections.page_log_events()
        # Each stream has three events at each of three timestamps, so some pages end between
        # events with equal timestamps.
        streams = {
            name: {"events": [{"timestamp": n // 3, "message": f"{name}{n}"} for n in range(9)]}
            for name in "ab"
        }
        cloudwatch_logs._log_groups["group"] = {"streams": streams}

        def read(limit, **parameters):
            while True:
                data = {"logGroupName": "group", "limit": limit, **parameters}
                status, _, body = cloudwatch_logs._filter_log_events(data)
                result = json.loads(body)
                assert status == 200 and len(result["events"]) <= limit, result
                yield from (event["message"] for event in result["events"])
                if "nextToken" not in result:
                    return
                parameters["nextToken"] = result["nextToken"]

        everything = sorted(f"{name}{n}" for name in "ab" for n in range(9))
        print([limit for limit in range(1, 25) if sorted(read(limit)) != everything])
        print(sorted(read(2, startTime=1, endTime=1)))
        print(list(read(2, filterPattern="b8")))
        invalid = {"logGroupName": "group", "nextToken": "invalid"}
        print(cloudwatch_logs._filter_log_events(invalid)[0])
    """)
    assert output.splitlines() == [
        "[]",
        "['a3', 'a4', 'a5', 'b3', 'b4', 'b5']",
        "['b8']",
        "400",
    ]


def test_alarms_are_returned_as_they_were_written() -> None:
    output = run("""
        import boto3
        from botocore.parsers import create_parser
        from ministack.services import cloudwatch
        from ops.embedded.emulator import corrections
        corrections.return_complete_alarms()
        service = boto3.Session().client("cloudwatch", "us-east-1").meta.service_model
        parser = create_parser("query")
        shape = service.operation_model("DescribeAlarms").output_shape

        def write_and_read(**alarm):
            parameters = {"AlarmName": "a & b", "EvaluationPeriods": "1", **alarm}
            values = {name: [value] for name, value in parameters.items()}
            assert cloudwatch._put_metric_alarm(values, {}, False)[0] == 200
            status, headers, body = cloudwatch._describe_alarms({}, {}, False)
            response = {"status_code": status, "headers": headers, "body": body}
            [result] = parser.parse(response, shape)["MetricAlarms"]
            return result

        first = write_and_read(
            AlarmDescription="x < y", MetricName="Errors", Namespace="AWS/Lambda", Period="300",
            Statistic="Sum", Threshold="5", ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching", ActionsEnabled="false",
            **{"AlarmActions.member.1": "topic-1", "AlarmActions.member.2": "topic-2",
               "OKActions.member.1": "topic-1", "Dimensions.member.1.Name": "FunctionName",
               "Dimensions.member.1.Value": "auth"},
        )
        for name in sorted(first):
            print(name, first[name])
        print(write_and_read(MetricName="m", Namespace="n", ExtendedStatistic="p99").keys() & {
            "Statistic", "ExtendedStatistic"})
        print(write_and_read(Threshold="1").keys() & {"Statistic", "Period", "Namespace"})
    """)
    lines = output.splitlines()
    assert lines == [
        "ActionsEnabled False",
        "AlarmActions ['topic-1', 'topic-2']",
        "AlarmArn arn:aws:cloudwatch:us-east-1:000000000000:alarm:a & b",
        "AlarmDescription x < y",
        "AlarmName a & b",
        "ComparisonOperator GreaterThanThreshold",
        "Dimensions [{'Name': 'FunctionName', 'Value': 'auth'}]",
        "EvaluationPeriods 1",
        "InsufficientDataActions []",
        "MetricName Errors",
        "Namespace AWS/Lambda",
        "OKActions ['topic-1']",
        "Period 300",
        "StateReason Unchecked: Initial alarm creation",
        "StateValue INSUFFICIENT_DATA",
        "Statistic Sum",
        "Threshold 5.0",
        "TreatMissingData notBreaching",
        "{'ExtendedStatistic'}",
        "set()",
    ]


def test_the_default_egress_rule_of_a_new_group_can_be_revoked() -> None:
    output = run("""
        from ministack.services import ec2
        from ops.embedded.emulator import corrections
        corrections.ignore_ports_of_rules_for_all_protocols()
        ec2._create_security_group({"GroupName": ["test"], "GroupDescription": ["Test"]})
        [group] = [g for g in ec2._security_groups.values() if g["GroupName"] == "test"]
        ports = {"FromPort": "0", "ToPort": "0"}
        rule = {"IpProtocol": "-1", **ports, "IpRanges.1.CidrIp": "0.0.0.0/0"}
        parameters = {f"IpPermissions.1.{name}": [value] for name, value in rule.items()}
        ec2._revoke_sg_egress({"GroupId": [group["GroupId"]], **parameters})
        print(group["IpPermissionsEgress"])
        other = {**parameters, "IpPermissions.1.IpProtocol": ["tcp"]}
        ec2._authorize_sg_egress({"GroupId": [group["GroupId"]], **other})
        ec2._revoke_sg_egress({"GroupId": [group["GroupId"]], **other,
                               "IpPermissions.1.ToPort": ["1"]})
        print(len(group["IpPermissionsEgress"]))
    """)
    assert output.splitlines() == ["[]", "1"]


def test_subnets_are_in_the_zone_with_the_requested_id() -> None:
    output = run("""
        import re
        from ministack.services import ec2
        from ops.embedded.emulator import corrections
        corrections.support_all_zones()
        for zone in ("use1-az1", "use1-az4", "use1-az9"):
            parameters = {"CidrBlock": ["10.0.0.0/20"], "AvailabilityZoneId": [zone]}
            text = ec2._ACTION_MAP["CreateSubnet"](parameters)[2].decode()
            print(re.findall("<availabilityZone.*?>(.*?)<", text))
    """)
    assert output.splitlines() == [
        "['us-east-1a', 'use1-az1']",
        "['us-east-1d', 'use1-az4']",
        "['us-east-1a', 'use1-az1']",
    ]


def test_vpc_endpoints_keep_their_security_groups_and_private_dns() -> None:
    output = run("""
        import re
        from ministack.services import ec2
        from ops.embedded.emulator import corrections
        corrections.store_interface_endpoints()

        def call(action, **parameters):
            items = {key.replace("_", "."): [value] for key, value in parameters.items()}
            return ec2._ACTION_MAP[action](items)[2].decode()

        def show(text):
            names = "groupId", "privateDnsEnabled"
            print([re.findall(f"<{name}>(.*?)<", text) for name in names])

        call("CreateVpcEndpoint", ServiceName="s3")
        show(call("DescribeVpcEndpoints"))
        created = call("CreateVpcEndpoint", VpcEndpointType="Interface", ServiceName="sqs",
                       SecurityGroupId_1="sg-1", PrivateDnsEnabled="true")
        show(created)
        id_ = re.search("<vpcEndpointId>(.*?)<", created)[1]
        call("ModifyVpcEndpoint", VpcEndpointId=id_, AddSecurityGroupId_1="sg-2",
             RemoveSecurityGroupId_1="sg-1")
        show(call("DescribeVpcEndpoints", VpcEndpointId_1=id_))
        call("ModifyVpcEndpoint", VpcEndpointId=id_, PrivateDnsEnabled="false")
        show(call("DescribeVpcEndpoints", VpcEndpointId_1=id_))
    """)
    assert output.splitlines() == [
        "[[], ['false']]",
        "[['sg-1'], ['true']]",
        "[['sg-2'], ['true']]",
        "[['sg-2'], ['false']]",
    ]
