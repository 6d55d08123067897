"""Names of resources: `{service}-{resource}-{environment}`."""

from __future__ import annotations

from dataclasses import dataclass

from environments import Environment

PROJECT = "multitask-platform"
"""Value of the Project tag, and the first part of names the documentation gives."""


@dataclass(frozen=True)
class Names:
    """Makes the names of one environment's resources."""

    environment: Environment

    def of(self, service: str, resource: str) -> str:
        """The documented pattern, for example `auth-lambda-prod`."""
        return f"{service}-{resource}-{self.environment.name}"

    def bucket(self, service: str, resource: str) -> str:
        """As `of`, with the environment's suffix: bucket names are unique in the world."""
        name = self.of(service, f"{resource}-bucket")
        return (
            f"{name}-{self.environment.bucket_suffix}" if self.environment.bucket_suffix else name
        )

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in the environment's account and region that is known by its name.

        Args:
            service: as ARNs have it, for example `ssm`.
            resource: everything behind the account id, for example `parameter/multitask/dev/jwt-secret`.
        """
        return (
            f"arn:aws:{service}:{self.environment.region}:{self.environment.account_id}:{resource}"
        )

    def parameter(self, key: str) -> str:
        """The documented SSM path, for example `/multitask/prod/jwt-secret`."""
        return f"/multitask/{self.environment.name}/{key}"


def service_tag(service: str) -> dict[str, str]:
    """The one tag the provider's default tags can't know."""
    return {"Service": service}
