"""Runs the console of the platform on this machine: python -m ops.web_console PORT ROOT

`ops up` starts this module instead of `ops console`, because the command-line interface of `ops`
would take 2 MB more memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ops.cloud import EMBEDDED
from ops.local.console_process import local_token
from ops.root import Root
from ops.web_console.server import run_console
from ops.web_console.source import Source

if __name__ == "__main__":
    port, directory = sys.argv[1:]
    root = Root(Path(directory))
    run_console(Source(EMBEDDED, root), port=int(port), token=local_token(root))
