"""Defines the checks of services that observe and protect the platform, and of managed
databases.
"""

from __future__ import annotations

import time

from ops.conformance.checks import Aws, check, expect, expect_error, wait_until


@check("logs", "Log events are found by their text")
def find_log_events(aws: Aws) -> None:
    logs, group = aws.client("logs"), f"/{aws.new_name()}"
    logs.create_log_group(logGroupName=group)
    aws.resources.callback(logs.delete_log_group, logGroupName=group)
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + number, "message": f"event {number}"} for number in range(3)]
    logs.put_log_events(logGroupName=group, logStreamName="a", logEvents=events)
    found = wait_until(
        lambda: logs.filter_log_events(logGroupName=group, filterPattern='"event 1"')["events"]
    )
    expect([event["message"] for event in found], ["event 1"])


@check("logs", "A search that finds more than its limit returns a token for the next page")
def page_log_events(aws: Aws) -> None:
    logs, group = aws.client("logs"), f"/{aws.new_name()}"
    logs.create_log_group(logGroupName=group)
    aws.resources.callback(logs.delete_log_group, logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": str(number)} for number in range(3)]
    logs.put_log_events(logGroupName=group, logStreamName="a", logEvents=events)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, PaginationConfig={"PageSize": 2}
    )
    found = [event["message"] for page in pages for event in page["events"]]
    expect(sorted(found), ["0", "1", "2"])


@check("logs", "A metric filter and a saved query are stored")
def store_log_settings(aws: Aws) -> None:
    logs, group, name = aws.client("logs"), f"/{aws.new_name()}", aws.new_name()
    logs.create_log_group(logGroupName=group)
    aws.resources.callback(logs.delete_log_group, logGroupName=group)
    metric = {"metricName": "Errors", "metricNamespace": "Test", "metricValue": "1"}
    logs.put_metric_filter(
        logGroupName=group, filterName="f", filterPattern="ERROR", metricTransformations=[metric]
    )
    filters = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    expect([item["filterPattern"] for item in filters], ["ERROR"])
    id_ = logs.put_query_definition(name=name, queryString="fields @message")["queryDefinitionId"]
    aws.resources.callback(logs.delete_query_definition, queryDefinitionId=id_)
    queries = logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"]
    expect([query["queryString"] for query in queries], ["fields @message"])


@check("cloudwatch", "The sum of a metric's values is returned")
def read_metric(aws: Aws) -> None:
    cloudwatch, namespace = aws.client("cloudwatch"), aws.new_name()
    for value in (1.0, 2.0):
        data = [{"MetricName": "Requests", "Value": value}]
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    now = time.time()
    points = wait_until(
        lambda: cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName="Requests",
            StartTime=now - 300,
            EndTime=now + 300,
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
    )
    expect(sum(point["Sum"] for point in points), 3.0)


@check("cloudwatch", "An alarm keeps its settings and its state")
def store_alarm(aws: Aws) -> None:
    cloudwatch, name = aws.client("cloudwatch"), aws.new_name()
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    aws.resources.callback(cloudwatch.delete_alarms, AlarmNames=[name])
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    expect((alarm["TreatMissingData"], alarm["StateValue"]), ("notBreaching", "ALARM"))


@check("xray", "A group of traces is stored")
def store_trace_group(aws: Aws) -> None:
    xray, name = aws.client("xray"), aws.new_name()
    xray.create_group(GroupName=name, FilterExpression="error = true")
    aws.resources.callback(xray.delete_group, GroupName=name)
    expect(xray.get_group(GroupName=name)["Group"]["FilterExpression"], "error = true")


@check("application-autoscaling", "A scalable target is stored")
def store_scalable_target(aws: Aws) -> None:
    scaling = aws.client("application-autoscaling")
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{aws.table}",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=5)
    aws.resources.callback(scaling.deregister_scalable_target, **target)
    [stored] = scaling.describe_scalable_targets(
        ServiceNamespace="dynamodb", ResourceIds=[target["ResourceId"]]
    )["ScalableTargets"]
    expect((stored["MinCapacity"], stored["MaxCapacity"]), (1, 5))


@check("wafv2", "A web ACL keeps its custom response bodies")
def keep_response_bodies(aws: Aws) -> None:
    waf, name = aws.client("wafv2"), aws.new_name()
    visibility = {
        "SampledRequestsEnabled": False,
        "CloudWatchMetricsEnabled": False,
        "MetricName": "m",
    }
    bodies = {"blocked": {"ContentType": "APPLICATION_JSON", "Content": "{}"}}
    created = waf.create_web_acl(
        Name=name,
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig=visibility,
        CustomResponseBodies=bodies,
    )["Summary"]
    key = {"Name": name, "Scope": "REGIONAL", "Id": created["Id"]}
    stored = waf.get_web_acl(**key)
    expect(stored["WebACL"].get("CustomResponseBodies"), bodies)
    waf.delete_web_acl(**key, LockToken=stored["LockToken"])


@check("acm", "A certificate that waits for validation contains the DNS record to create")
def request_certificate(aws: Aws) -> None:
    acm = aws.client("acm")
    requested = acm.request_certificate(DomainName="api.example.com", ValidationMethod="DNS")
    arn = requested["CertificateArn"]
    aws.resources.callback(acm.delete_certificate, CertificateArn=arn)

    def read_options() -> list[dict[str, dict[str, str]]]:
        certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        options: list[dict[str, dict[str, str]]] = certificate["DomainValidationOptions"]
        return options

    options = wait_until(read_options)
    expect(options[0]["ResourceRecord"]["Type"], "CNAME")


@check("route53", "A record set is created and listed")
def store_record(aws: Aws) -> None:
    route53, domain = aws.client("route53"), f"{aws.new_name()}.example."
    zone = route53.create_hosted_zone(Name=domain, CallerReference=domain)["HostedZone"]["Id"]
    aws.resources.callback(route53.delete_hosted_zone, Id=zone)
    record = {
        "Name": f"api.{domain}",
        "Type": "TXT",
        "TTL": 60,
        "ResourceRecords": [{"Value": '"x"'}],
    }
    for action in ("UPSERT", "DELETE"):
        change = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
        sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        expect(f"api.{domain}" in {item["Name"] for item in sets}, action == "UPSERT")


@check("rds", "A cluster has IAM authentication and a secret that RDS manages")
def create_cluster(aws: Aws) -> None:
    rds, name = aws.client("rds"), aws.new_name()
    cluster = rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="master",
        ManageMasterUserPassword=True,
        EnableIAMDatabaseAuthentication=True,
    )["DBCluster"]
    aws.resources.callback(rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True)
    expect(cluster["IAMDatabaseAuthenticationEnabled"], True)
    expect(cluster["MasterUserSecret"]["SecretArn"].split(":")[2], "secretsmanager")


@check("elasticache", "A user with IAM authentication is stored")
def create_cache_user(aws: Aws) -> None:
    cache, name = aws.client("elasticache"), aws.new_name()
    cache.create_user(
        UserId=name,
        UserName=name,
        Engine="valkey",
        AccessString="on ~* +@all",
        AuthenticationMode={"Type": "iam"},
    )
    aws.resources.callback(cache.delete_user, UserId=name)
    [user] = cache.describe_users(UserId=name)["Users"]
    expect(user["Authentication"]["Type"], "iam")


@check("budgets", "Reading a missing budget fails with NotFoundException")
def miss_budget(aws: Aws) -> None:
    account = aws.client("sts").get_caller_identity()["Account"]
    with expect_error("NotFoundException"):
        aws.client("budgets").describe_budget(AccountId=account, BudgetName=aws.new_name())


@check("ec2", "A network has subnets and security groups whose rules are stored")
def create_network(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    aws.resources.callback(ec2.delete_vpc, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/24")["Subnet"]["SubnetId"]
    aws.resources.callback(ec2.delete_subnet, SubnetId=subnet)
    group = ec2.create_security_group(GroupName=aws.new_name(), Description="x", VpcId=vpc)
    aws.resources.callback(ec2.delete_security_group, GroupId=group["GroupId"])
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 5432,
        "ToPort": 5432,
        "IpRanges": [{"CidrIp": "10.99.0.0/16"}],
    }
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    [stored] = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    expect(stored["IpPermissions"][0]["FromPort"], 5432)
