"""Encodes JSON as the value of a Terraform attribute."""

from __future__ import annotations

import json


def json_document(value: object) -> str:
    """Returns JSON whose strings may contain references to other resources.

    The JSON has several lines, because CDKTF writes multi-line text to HCL unchanged. In text of a
    single line, CDKTF does not escape quotes next to a reference.
    """
    return json.dumps(value, indent=1)
