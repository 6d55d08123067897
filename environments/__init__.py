"""The platform's environments. Each has a YAML file, which a strict model validates."""

from environments.loader import (
    EnvironmentFileError,
    environment_names,
    example_names,
    find_file,
    load_environment,
)
from environments.model import Domains, Environment, FunctionName, FunctionSettings
from environments.rules import shared_states

__all__ = [
    "Domains",
    "Environment",
    "EnvironmentFileError",
    "FunctionName",
    "FunctionSettings",
    "environment_names",
    "example_names",
    "find_file",
    "load_environment",
    "shared_states",
]
