"""Tests in which cases a review includes checkov's findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.review.checkov import uses_checkov, with_checkov
from ops.review.review import review
from ops.terraform.plan import read_plan
from tests.ops.review.documents import document


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("emulated", [True, False])
@pytest.mark.parametrize("is_new_plan", [True, False])
def test_checkov_runs_by_default_for_new_plans_for_aws_if_it_is_installed(
    tmp_path: Path, *, is_new_plan: bool, emulated: bool, installed: bool
) -> None:
    checkov = tmp_path / "checkov"
    if installed:
        checkov.touch()

    def uses(option: bool | None) -> bool:
        return uses_checkov(option, is_new_plan=is_new_plan, emulated=emulated, checkov=checkov)

    assert uses(None) is (is_new_plan and not emulated and installed)
    assert uses(True) is True
    assert uses(False) is False


def test_requesting_checkov_without_an_installation_is_an_error(tmp_path: Path) -> None:
    plan = document()
    with pytest.raises(OperatorError, match="is not installed at .*: run `make test`"):
        with_checkov(review(read_plan(plan), "dev"), plan, checkov=tmp_path / "checkov")
