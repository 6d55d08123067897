"""The platform's environments. Each has one YAML file, and one strict model validates them all."""

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
