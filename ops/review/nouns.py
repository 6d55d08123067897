"""Names resource types in plain English, such as `CloudWatch log groups`."""

from __future__ import annotations

import functools
import re

_SPELLINGS = {
    "acl": "ACL", "acm": "ACM", "ami": "AMI", "api": "API", "api gateway": "API Gateway",
    "apigatewayv2": "API Gateway v2", "cloudformation": "CloudFormation",
    "cloudfront": "CloudFront", "cloudtrail": "CloudTrail", "cloudwatch": "CloudWatch",
    "cognito": "Cognito", "cors": "CORS", "db": "database", "dynamodb": "DynamoDB", "ebs": "EBS",
    "ec2": "EC2", "ecr": "ECR", "ecs": "ECS", "efs": "EFS", "eip": "Elastic IP", "eks": "EKS",
    "elasticache": "ElastiCache", "iam": "IAM", "ip": "IP", "ipv4": "IPv4", "ipv6": "IPv6",
    "kms": "KMS", "lambda": "Lambda", "lb": "load balancer", "nat": "NAT", "rds": "RDS",
    "rest": "REST", "route53": "Route 53", "s3": "S3", "saml": "SAML",
    "secretsmanager": "Secrets Manager", "sns": "SNS", "sqs": "SQS", "ssh": "SSH", "ssm": "SSM",
    "vpc": "VPC", "wafv2": "WAF", "xray": "X-Ray",
}  # fmt: skip
_WORD = re.compile(rf"\b({'|'.join(sorted(map(re.escape, _SPELLINGS), key=len, reverse=True))})\b")
_UNCOUNTED = re.compile(r"((?<!mapp)ing|access|data|encryption|[^aeiousy]s)$")
"""Ends of names that cannot take a plural ending. Their plural adds the word `resources`, as in
`S3 bucket versioning resources`."""


@functools.cache
def noun(type_: str, number: int) -> str:
    """Returns the name of a resource type, for example `IAM role policies`.

    Args:
        number: the number of resources.
    """
    words = type_.removeprefix("aws_").replace("_", " ")
    named = _WORD.sub(lambda match: _SPELLINGS[match[1]], words)
    return named if number == 1 else _plural(named)


def _plural(name: str) -> str:
    if _UNCOUNTED.search(name):
        return f"{name} resources"
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if re.search(r"[^aeiou]y$", name) else f"{name}s"
