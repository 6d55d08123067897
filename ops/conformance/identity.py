"""Defines the checks of services for identities and keys: IAM, STS, Cognito and KMS."""

from __future__ import annotations

import json

import boto3

from ops.conformance.checks import Aws, check, expect, expect_error, policy_document, wait_until

PASSWORD = "Correct-horse-1"  # noqa: S105 - of users that the checks create


@check("sts", "The caller's account and ARN are returned")
def identify_caller(aws: Aws) -> None:
    identity = aws.client("sts").get_caller_identity()
    expect((len(identity["Account"]), identity["Arn"].split(":")[0]), (12, "arn"))


@check("iam", "A policy has versions, of which one is the default")
def version_policy(aws: Aws) -> None:
    iam = aws.client("iam")
    arn = iam.create_policy(
        PolicyName=aws.new_name(), PolicyDocument=policy_document("s3:GetObject", Resource="*")
    )["Policy"]["Arn"]
    document = policy_document("s3:PutObject", Resource="*")
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    expect(iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"], "v2")
    stored = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"]
    expect(stored, json.loads(document))
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)


@check("iam", "A role keeps its trust policy, its tags and its inline policy")
def store_role(aws: Aws) -> None:
    iam, name = aws.client("iam"), aws.role.rpartition("/")[2]
    iam.tag_role(RoleName=name, Tags=[{"Key": "Project", "Value": "test"}])
    role = iam.get_role(RoleName=name)["Role"]
    expect(role["AssumeRolePolicyDocument"]["Statement"][0]["Action"], "sts:AssumeRole")
    expect(role["Tags"], [{"Key": "Project", "Value": "test"}])
    stored = iam.get_role_policy(RoleName=name, PolicyName="all")["PolicyDocument"]
    expect(stored["Statement"][0]["Action"], "*")


@check("sts", "A role without permissions may not read a bucket")
def enforce_policies(aws: Aws) -> None:
    iam, name = aws.client("iam"), aws.new_name()
    account = aws.client("sts").get_caller_identity()["Account"]
    trust = policy_document("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{account}:root"})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    aws.resources.callback(iam.delete_role, RoleName=name)
    assumed = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    keys = (assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])
    limited = Aws(aws.client("sts").meta.endpoint_url, boto3.Session(*keys), aws.authority)
    with expect_error("AccessDenied", "AccessDeniedException"):
        limited.client("s3").list_objects_v2(Bucket=aws.bucket)


@check("cognito-idp", "A confirmed user signs in and gets tokens")
def sign_in(aws: Aws) -> None:
    tokens = _sign_in(aws)
    expect({"AccessToken", "IdToken", "RefreshToken"} <= tokens.keys(), True)


def _client(aws: Aws) -> str:
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    client: str = aws.client("cognito-idp").create_user_pool_client(
        UserPoolId=aws.pool,
        ClientName=aws.new_name(),
        ExplicitAuthFlows=[*flows, "ALLOW_REFRESH_TOKEN_AUTH"],
    )["UserPoolClient"]["ClientId"]
    return client


def _sign_in(aws: Aws) -> dict[str, str]:
    cognito, client, email = aws.client("cognito-idp"), _client(aws), f"{aws.new_name()}@a.example"
    cognito.sign_up(ClientId=client, Username=email, Password=PASSWORD)
    cognito.admin_confirm_sign_up(UserPoolId=aws.pool, Username=email)
    tokens: dict[str, str] = cognito.initiate_auth(
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
    )["AuthenticationResult"]
    return tokens


@check("cognito-idp", "Signing in with a wrong password and registering an address twice fail")
def reject_users(aws: Aws) -> None:
    cognito, client, email = aws.client("cognito-idp"), _client(aws), f"{aws.new_name()}@a.example"
    cognito.sign_up(ClientId=client, Username=email, Password=PASSWORD)
    with expect_error("UsernameExistsException"):
        cognito.sign_up(ClientId=client, Username=email, Password=PASSWORD)
    cognito.admin_confirm_sign_up(UserPoolId=aws.pool, Username=email)
    with expect_error("NotAuthorizedException"):
        cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": "Wrong-horse-1"},
        )


@check("cognito-idp", "An unconfirmed user cannot sign in")
def reject_unconfirmed_user(aws: Aws) -> None:
    cognito, client, email = aws.client("cognito-idp"), _client(aws), f"{aws.new_name()}@a.example"
    cognito.sign_up(ClientId=client, Username=email, Password=PASSWORD)
    with expect_error("UserNotConfirmedException"):
        cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )


@check("cognito-idp", "A token identifies its user until a global sign-out")
def sign_out(aws: Aws) -> None:
    cognito, token = aws.client("cognito-idp"), _sign_in(aws)["AccessToken"]
    attributes = cognito.get_user(AccessToken=token)["UserAttributes"]
    expect("email" in {attribute["Name"] for attribute in attributes}, True)
    cognito.global_sign_out(AccessToken=token)
    with expect_error("NotAuthorizedException"):
        cognito.get_user(AccessToken=token)


@check("cognito-idp", "A group has members")
def add_to_group(aws: Aws) -> None:
    cognito, client, email = aws.client("cognito-idp"), _client(aws), f"{aws.new_name()}@a.example"
    cognito.sign_up(ClientId=client, Username=email, Password=PASSWORD)
    cognito.create_group(UserPoolId=aws.pool, GroupName="admin")
    cognito.admin_add_user_to_group(UserPoolId=aws.pool, Username=email, GroupName="admin")
    groups = cognito.admin_list_groups_for_user(UserPoolId=aws.pool, Username=email)["Groups"]
    expect([group["GroupName"] for group in groups], ["admin"])


@check("kms", "A key encrypts and decrypts, and its rotation can be turned on")
def use_key(aws: Aws) -> None:
    kms = aws.client("kms")
    key = kms.create_key(Description="conformance")["KeyMetadata"]["KeyId"]
    aws.resources.callback(kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
    encrypted = kms.encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
    expect(kms.decrypt(CiphertextBlob=encrypted)["Plaintext"], b"text")
    kms.enable_key_rotation(KeyId=key)
    wait_until(lambda: kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])
