"""Defines the checks of services that store data: DynamoDB, S3, Parameter Store, Secrets
Manager.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ops.conformance.checks import Aws, ConformanceError, check, expect, expect_error


def _item(partition: str, sort: str = "1", **numbers: int) -> dict[str, dict[str, str]]:
    values = {name: {"N": str(value)} for name, value in numbers.items()}
    return {"pk": {"S": partition}, "sk": {"S": sort}, **values}


@check("dynamodb", "A conditional put of an existing key fails")
def reject_existing_key(aws: Aws) -> None:
    dynamodb, condition = aws.client("dynamodb"), "attribute_not_exists(pk)"
    arguments = {"TableName": aws.table, "Item": _item("put"), "ConditionExpression": condition}
    dynamodb.put_item(**arguments)
    with expect_error("ConditionalCheckFailedException"):
        dynamodb.put_item(**arguments)


@check("dynamodb", "A failed condition returns the existing item on request")
def return_existing_item(aws: Aws) -> None:
    dynamodb = aws.client("dynamodb")
    dynamodb.put_item(TableName=aws.table, Item=_item("old", a=1))
    try:
        dynamodb.put_item(
            TableName=aws.table,
            Item=_item("old", a=2),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        response: Any = error.response
        expect(response.get("Item", {}).get("a"), {"N": "1"})
    else:
        raise ConformanceError("the write succeeded, although its condition is false")


@check("dynamodb", "An update adds to a number and returns the new attributes")
def add_to_number(aws: Aws) -> None:
    for number in ("1", "2"):
        response = aws.client("dynamodb").update_item(
            TableName=aws.table,
            Key=_item("count"),
            UpdateExpression="ADD amount :one SET seen = if_not_exists(seen, :one)",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )
        expect(response["Attributes"]["amount"], {"N": number})


@check("dynamodb", "An update changes a nested path and adds to a set")
def update_nested_values(aws: Aws) -> None:
    dynamodb, key = aws.client("dynamodb"), _item("nested")
    dynamodb.put_item(TableName=aws.table, Item={**key, "map": {"M": {}}, "set": {"SS": ["a"]}})
    dynamodb.update_item(
        TableName=aws.table,
        Key=key,
        UpdateExpression="SET #map.#a = :v ADD #set :b",
        ExpressionAttributeNames={"#map": "map", "#a": "a b", "#set": "set"},
        ExpressionAttributeValues={":v": {"S": "x"}, ":b": {"SS": ["b"]}},
    )
    item = dynamodb.get_item(TableName=aws.table, Key=key, ConsistentRead=True)["Item"]
    expect(item["map"], {"M": {"a b": {"S": "x"}}})
    expect(sorted(item["set"]["SS"]), ["a", "b"])


@check("dynamodb", "A query returns sorted pages in both directions")
def query_pages(aws: Aws) -> None:
    dynamodb = aws.client("dynamodb")
    for sort in "312":
        dynamodb.put_item(TableName=aws.table, Item=_item("query", sort))
    arguments = {
        "TableName": aws.table,
        "KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :b",
        "ExpressionAttributeValues": {":p": {"S": "query"}, ":a": {"S": "1"}, ":b": {"S": "3"}},
        "ScanIndexForward": False,
    }
    first = dynamodb.query(**arguments, Limit=2)
    second = dynamodb.query(**arguments, ExclusiveStartKey=first["LastEvaluatedKey"])
    expect([item["sk"]["S"] for item in first["Items"] + second["Items"]], ["3", "2", "1"])


@check("dynamodb", "A query of an index with a filter returns the matching items")
def query_index(aws: Aws) -> None:
    dynamodb = aws.client("dynamodb")
    for sort, number in (("1", 1), ("2", 2)):
        item = {**_item("index", sort, number=number), "owner_id": {"S": "o"}}
        dynamodb.put_item(TableName=aws.table, Item=item)
    found = dynamodb.query(
        TableName=aws.table,
        IndexName="owner-index",
        KeyConditionExpression="owner_id = :o",
        FilterExpression="#number > :one",
        ExpressionAttributeNames={"#number": "number"},
        ExpressionAttributeValues={":o": {"S": "o"}, ":one": {"N": "1"}},
    )
    expect([item["sk"]["S"] for item in found["Items"]], ["2"])


@check("dynamodb", "A transaction with a failed condition changes nothing and names the reason")
def cancel_transaction(aws: Aws) -> None:
    dynamodb, condition = aws.client("dynamodb"), "attribute_exists(pk)"
    put = {"TableName": aws.table, "Item": _item("transaction")}
    failing = {"TableName": aws.table, "Key": _item("absent"), "ConditionExpression": condition}
    try:
        dynamodb.transact_write_items(TransactItems=[{"Put": put}, {"ConditionCheck": failing}])
    except ClientError as error:
        expect(error.response["Error"]["Code"], "TransactionCanceledException")
        response: Any = error.response
        reasons = [reason["Code"] for reason in response["CancellationReasons"]]
        expect(reasons, ["None", "ConditionalCheckFailed"])
    else:
        raise ConformanceError("the transaction succeeded, although its condition is false")
    expect("Item" in dynamodb.get_item(TableName=aws.table, Key=_item("transaction")), False)


@check("dynamodb", "A repeated transaction with the same token is executed once")
def repeat_transaction(aws: Aws) -> None:
    dynamodb, token = aws.client("dynamodb"), aws.new_name()
    update = {
        "TableName": aws.table,
        "Key": _item("token"),
        "UpdateExpression": "ADD amount :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    for _ in range(2):
        dynamodb.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)
    item = dynamodb.get_item(TableName=aws.table, Key=_item("token"))["Item"]
    expect(item["amount"], {"N": "1"})


@check("dynamodb", "A batch call writes items, and another reads them")
def use_batches(aws: Aws) -> None:
    dynamodb = aws.client("dynamodb")
    requests = [{"PutRequest": {"Item": _item("batch", str(sort))}} for sort in range(25)]
    dynamodb.batch_write_item(RequestItems={aws.table: requests})
    keys = [_item("batch", str(sort)) for sort in range(25)]
    found = dynamodb.batch_get_item(RequestItems={aws.table: {"Keys": keys}})
    expect(len(found["Responses"][aws.table]), 25)


@check("dynamodb", "An item above 400 KB is rejected")
def reject_large_item(aws: Aws) -> None:
    with expect_error("ValidationException"):
        item = {**_item("large"), "text": {"S": "x" * 410_000}}
        aws.client("dynamodb").put_item(TableName=aws.table, Item=item)


@check("dynamodb", "Time to live and point-in-time recovery are stored")
def store_table_settings(aws: Aws) -> None:
    dynamodb, table = aws.client("dynamodb"), aws.table
    settings = {"Enabled": True, "AttributeName": "expires"}
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=settings)
    described = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    expect(described["AttributeName"], "expires")
    dynamodb.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    expect(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED")


@check("dynamodbstreams", "A stream returns the old and the new image of a change")
def read_stream(aws: Aws) -> None:
    dynamodb, streams = aws.client("dynamodb"), aws.client("dynamodbstreams")
    arn = dynamodb.describe_table(TableName=aws.table)["Table"]["LatestStreamArn"]
    for number in (1, 2):
        dynamodb.put_item(TableName=aws.table, Item=_item("stream", n=number))
    shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterators = [
        streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for shard in shards
    ]
    records = [
        record["dynamodb"]
        for iterator in iterators
        for record in streams.get_records(ShardIterator=iterator)["Records"]
        if record["dynamodb"]["Keys"]["pk"]["S"] == "stream"
    ]
    changes = [(record.get("OldImage", {}).get("n"), record["NewImage"]["n"]) for record in records]
    expect(changes, [(None, {"N": "1"}), ({"N": "1"}, {"N": "2"})])


@check("s3", "An object keeps its content, type and metadata")
def keep_object(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.put_object(
        Bucket=aws.bucket, Key="a b+c", Body=b"x", ContentType="image/png", Metadata={"k": "v"}
    )
    read = s3.get_object(Bucket=aws.bucket, Key="a b+c")
    kept = (read["Body"].read(), read["ContentType"], read["Metadata"])
    expect(kept, (b"x", "image/png", {"k": "v"}))


@check("s3", "PutObject with If-None-Match fails if the object exists")
def reject_existing_object(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=aws.bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with expect_error("PreconditionFailed"):
        s3.put_object(Bucket=aws.bucket, Key="once", Body=b"2", IfNoneMatch="*")


@check("s3", "Deleting an object hides it and keeps its version")
def keep_versions(aws: Aws) -> None:
    s3 = aws.client("s3")
    version = s3.put_object(Bucket=aws.bucket, Key="versions", Body=b"1")["VersionId"]
    s3.delete_object(Bucket=aws.bucket, Key="versions")
    with expect_error("NoSuchKey"):
        s3.get_object(Bucket=aws.bucket, Key="versions")
    old = s3.get_object(Bucket=aws.bucket, Key="versions", VersionId=version)
    expect(old["Body"].read(), b"1")


@check("s3", "A copy can replace the metadata and the tags")
def copy_object(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=aws.bucket, Key="source", Body=b"1", Tagging="state=new")
    s3.copy_object(
        Bucket=aws.bucket,
        Key="copy",
        CopySource={"Bucket": aws.bucket, "Key": "source"},
        MetadataDirective="REPLACE",
        ContentType="text/plain",
        TaggingDirective="REPLACE",
        Tagging="state=used",
    )
    expect(s3.head_object(Bucket=aws.bucket, Key="copy")["ContentType"], "text/plain")
    tags = s3.get_object_tagging(Bucket=aws.bucket, Key="copy")["TagSet"]
    expect(tags, [{"Key": "state", "Value": "used"}])


@check("s3", "Listing objects returns common prefixes, in several pages")
def list_objects(aws: Aws) -> None:
    s3 = aws.client("s3")
    for key in ("list/a/1", "list/b/1", "list/c"):
        s3.put_object(Bucket=aws.bucket, Key=key, Body=b"")
    page = s3.list_objects_v2(Bucket=aws.bucket, Prefix="list/", Delimiter="/", MaxKeys=2)
    expect([item["Prefix"] for item in page["CommonPrefixes"]], ["list/a/", "list/b/"])
    token = page["NextContinuationToken"]
    rest = s3.list_objects_v2(
        Bucket=aws.bucket, Prefix="list/", Delimiter="/", ContinuationToken=token
    )
    expect([item["Key"] for item in rest["Contents"]], ["list/c"])


@check("s3", "The settings of a bucket are stored")
def store_bucket_settings(aws: Aws) -> None:
    s3 = aws.client("s3")
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    s3.put_public_access_block(Bucket=aws.bucket, PublicAccessBlockConfiguration=block)
    read = s3.get_public_access_block(Bucket=aws.bucket)["PublicAccessBlockConfiguration"]
    expect(read, block)
    rule = {
        "ID": "expire",
        "Status": "Enabled",
        "Filter": {"Prefix": "tmp/"},
        "Expiration": {"Days": 1},
    }
    s3.put_bucket_lifecycle_configuration(
        Bucket=aws.bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    [stored] = s3.get_bucket_lifecycle_configuration(Bucket=aws.bucket)["Rules"]
    expect(stored["Expiration"], {"Days": 1})


@check("ssm", "A secure parameter is decrypted on request, and its version increases")
def read_parameter(aws: Aws) -> None:
    ssm, name = aws.client("ssm"), f"/{aws.new_name()}"
    for value in ("1", "2"):
        ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
    aws.resources.callback(ssm.delete_parameter, Name=name)
    parameter = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    expect((parameter["Value"], parameter["Version"]), ("2", 2))
    old = ssm.get_parameter(Name=f"{name}:1", WithDecryption=True)["Parameter"]
    expect(old["Value"], "1")


@check("ssm", "Reading a missing parameter fails with ParameterNotFound")
def miss_parameter(aws: Aws) -> None:
    with expect_error("ParameterNotFound"):
        aws.client("ssm").get_parameter(Name=f"/{aws.new_name()}")


@check("secretsmanager", "A secret keeps its previous version")
def keep_secret_versions(aws: Aws) -> None:
    secrets, name = aws.client("secretsmanager"), aws.new_name()
    secrets.create_secret(Name=name, SecretString="1")
    aws.resources.callback(secrets.delete_secret, SecretId=name, ForceDeleteWithoutRecovery=True)
    secrets.put_secret_value(SecretId=name, SecretString="2")
    expect(secrets.get_secret_value(SecretId=name)["SecretString"], "2")
    previous = secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")
    expect(previous["SecretString"], "1")
