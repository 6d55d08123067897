"""What all tests share: jsii runs on the checkout's own Node, as the commands have it."""

from __future__ import annotations

import os

from ops.toolchain import node_variables

os.environ.setdefault("JSII_NODE", node_variables()["JSII_NODE"])
