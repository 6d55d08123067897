"""Resource names: `{service}-{resource}-{environment}`."""

from __future__ import annotations

from dataclasses import dataclass

from environments import Environment
from environments.resource_names import PREFIX, bucket_name, resource_name


@dataclass(frozen=True)
class Names:
    """Creates the names of one environment's resources."""

    environment: Environment

    def of(self, service: str, resource: str) -> str:
        """Returns a resource name in the specified pattern, for example `auth-lambda-prod`."""
        return resource_name(service, resource, self.environment.name)

    def bucket(self, service: str, resource: str) -> str:
        """Returns a bucket's name, which ends in the environment's suffix to be globally unique."""
        environment = self.environment
        return bucket_name(service, resource, environment.name, environment.bucket_suffix)

    def arn(self, service: str, resource: str) -> str:
        """Returns the ARN of a resource in the environment's account and region.

        Args:
            service: The service's name in ARNs, for example `ssm`.
            resource: The part after the account id, such as `parameter/multitask/dev/jwt-secret`.
        """
        return (
            f"arn:aws:{service}:{self.environment.region}:{self.environment.account_id}:{resource}"
        )

    def parameter(self, key: str) -> str:
        """Returns the full name of an SSM parameter, for example `/multitask/prod/jwt-secret`."""
        return f"/{PREFIX}/{self.environment.name}/{key}"


def service_tag(service: str) -> dict[str, str]:
    """Returns the Service tag, which the provider's default tags do not contain."""
    return {"Service": service}
