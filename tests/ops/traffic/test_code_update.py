"""Tests `ops deploy-function`."""

from __future__ import annotations

import pytest

from environments import load_environment
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.traffic.code_update import deploy_function_code


def test_code_of_prod_changes_only_by_releases() -> None:
    prod = Cloud(load_environment("prod", variables={}), {})
    with pytest.raises(OperatorError, match="`ops release prod auth`"):
        deploy_function_code(prod, "auth")
