"""The environments of the platform: one YAML file each, all validated by one strict model."""

from environments.loader import EnvironmentFileError, environment_names, load_environment
from environments.model import Domains, Environment, FunctionName, FunctionSettings
from environments.rules import shared_states

__all__ = [
    "Domains",
    "Environment",
    "EnvironmentFileError",
    "FunctionName",
    "FunctionSettings",
    "environment_names",
    "load_environment",
    "shared_states",
]
