"""Defines the checks of services that deliver messages: SQS, SNS and EventBridge."""

from __future__ import annotations

import json

from ops.conformance.checks import (
    Aws,
    check,
    expect,
    expect_error,
    policy_document,
    wait_until,
)


@check("sqs", "A message has its body and attributes, and is not received after its deletion")
def delete_message(aws: Aws) -> None:
    sqs, url = aws.client("sqs"), aws.create_queue()
    attributes = {"kind": {"DataType": "String", "StringValue": "test"}}
    sqs.send_message(QueueUrl=url, MessageBody="body", MessageAttributes=attributes)
    message = aws.receive(url)
    expect((message["Body"], message["MessageAttributes"]["kind"]["StringValue"]), ("body", "test"))
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    expect("Messages" in sqs.receive_message(QueueUrl=url), False)


@check("sqs", "A received message is invisible until its visibility timeout is set to zero")
def return_message(aws: Aws) -> None:
    sqs, url = aws.client("sqs"), aws.create_queue(VisibilityTimeout="60")
    sqs.send_message(QueueUrl=url, MessageBody="body")
    message = aws.receive(url)
    expect("Messages" in sqs.receive_message(QueueUrl=url), False)
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    expect(aws.receive(url)["MessageId"], message["MessageId"])


@check("sqs", "A message that is received too often moves to the dead-letter queue")
def use_dead_letter_queue(aws: Aws) -> None:
    sqs, dead = aws.client("sqs"), aws.create_queue()
    redrive = json.dumps({"deadLetterTargetArn": aws.queue_arn(dead), "maxReceiveCount": 1})
    url = aws.create_queue(RedrivePolicy=redrive, VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    aws.receive(url)

    def read_dead() -> object:
        sqs.receive_message(QueueUrl=url)
        return sqs.receive_message(QueueUrl=dead).get("Messages")

    [message] = wait_until(read_dead)
    expect(message["Body"], "poison")


@check("sqs", "A batch is sent, counted and deleted")
def use_batch(aws: Aws) -> None:
    sqs, url = aws.client("sqs"), aws.create_queue()
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(3)]
    expect(len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]), 3)
    names = ["ApproximateNumberOfMessages"]
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    expect(counted, {"ApproximateNumberOfMessages": "3"})
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    handles = [
        {"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]}
        for message in received
    ]
    response = sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    expect(len(response["Successful"]), len(handles))


@check("sqs", "Reading the URL of a missing queue fails with QueueDoesNotExist")
def miss_queue(aws: Aws) -> None:
    with expect_error("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
        aws.client("sqs").get_queue_url(QueueName=aws.new_name())


@check(
    "sns", "A subscription with raw delivery and a filter policy delivers only matching messages"
)
def deliver_to_subscription(aws: Aws) -> None:
    sns, url = aws.client("sns"), aws.create_queue()
    topic = sns.create_topic(Name=aws.new_name())["TopicArn"]
    aws.resources.callback(sns.delete_topic, TopicArn=topic)
    _allow(aws, url, "sns.amazonaws.com")
    settings = {
        "RawMessageDelivery": "true",
        "FilterPolicy": json.dumps({"kind": ["wanted"]}),
    }
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn(url), Attributes=settings)
    for kind in ("other", "wanted"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=kind, MessageAttributes=attributes)
    expect(aws.receive(url)["Body"], "wanted")


def _allow(aws: Aws, url: str, service: str) -> None:
    """Allows a service to send messages to a queue."""
    allowed = policy_document(
        "sqs:SendMessage", Principal={"Service": service}, Resource=aws.queue_arn(url)
    )
    aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": allowed})


def _create_rule(aws: Aws, pattern: dict[str, list[str]]) -> tuple[str, str]:
    """Creates a bus with a rule that sends matching events to a queue. Returns bus and queue."""
    events, bus, rule, url = aws.client("events"), aws.new_name(), "rule", aws.create_queue()
    events.create_event_bus(Name=bus)
    aws.resources.callback(events.delete_event_bus, Name=bus)
    events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps(pattern))
    aws.resources.callback(events.delete_rule, Name=rule, EventBusName=bus)
    _allow(aws, url, "events.amazonaws.com")
    targets = [{"Id": "queue", "Arn": aws.queue_arn(url)}]
    failed = events.put_targets(Rule=rule, EventBusName=bus, Targets=targets)
    expect(failed["FailedEntryCount"], 0)
    aws.resources.callback(events.remove_targets, Rule=rule, EventBusName=bus, Ids=["queue"])
    return bus, url


def _entry(bus: str, kind: str) -> dict[str, str]:
    detail = json.dumps({"id": kind})
    return {"EventBusName": bus, "Source": "conformance", "DetailType": kind, "Detail": detail}


@check("events", "A rule sends matching events to its target")
def deliver_event(aws: Aws) -> None:
    bus, url = _create_rule(aws, {"source": ["conformance"], "detail-type": ["wanted"]})
    entries = [_entry(bus, "other"), _entry(bus, "wanted")]
    expect(aws.client("events").put_events(Entries=entries)["FailedEntryCount"], 0)
    event = json.loads(aws.receive(url)["Body"])
    expect((event["detail-type"], event["detail"]), ("wanted", {"id": "wanted"}))


@check("events", "An archive keeps its event source and its retention")
def archive_events(aws: Aws) -> None:
    events, name = aws.client("events"), aws.new_name()
    bus, _ = _create_rule(aws, {"source": ["conformance"]})
    arn = events.describe_event_bus(Name=bus)["Arn"]
    events.create_archive(ArchiveName=name, EventSourceArn=arn, RetentionDays=7)
    aws.resources.callback(events.delete_archive, ArchiveName=name)
    described = events.describe_archive(ArchiveName=name)
    expect((described["EventSourceArn"], described["RetentionDays"]), (arn, 7))


@check("scheduler", "A schedule is stored with its target")
def store_schedule(aws: Aws) -> None:
    scheduler, name = aws.client("scheduler"), aws.new_name()
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": aws.queue_arn(aws.queue), "RoleArn": aws.role},
    )
    aws.resources.callback(scheduler.delete_schedule, Name=name)
    expect(scheduler.get_schedule(Name=name)["ScheduleExpression"], "rate(1 day)")
