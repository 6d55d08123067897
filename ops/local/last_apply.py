"""Records the inputs of the last apply, so that a restart with the same inputs needs no apply."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ops.cloud import Cloud
from ops.embedded.services import Database
from ops.root import PROJECT, Root, read_json, write_json
from ops.terraform.source_digest import digest, source_files
from ops.terraform.state import state_digest

SOURCES = (
    "environments",
    "lambdas",
    "modules",
    "ops",
    "web",
    "main.py",
    "cdktf.json",
    "Pipfile.lock",
    "package-lock.json",
)
"""The files and directories of the project that determine what an apply does."""


class LastApply:
    """The inputs, the state and the database of the last `ops up` that succeeded.

    Reads the sources when it is created, before an apply reads them. Changes during the apply
    therefore count as changes after it.

    Args:
        stack: The directory of the stack. Terraform reads all its `.tf.json` files.
        project: The directory of the sources.
    """

    def __init__(self, root: Root, stack: Path, project: Path = PROJECT) -> None:
        self._file = root.path / "applied.json"
        self._control = root.path / Database.name / "global" / "pg_control"
        self._stack = stack
        self._sources = digest(source_files(project, SOURCES))

    def is_current(self, cloud: Cloud) -> bool:
        """Returns True if the inputs, Terraform's state and the database are those of the last
        apply.
        """
        return read_json(self._file) == self._describe(cloud)

    def record(self, cloud: Cloud) -> None:
        """Records the inputs and the state of an apply. Call it after the apply and all later
        steps.
        """
        write_json(self._file, self._describe(cloud))

    def _describe(self, cloud: Cloud) -> dict[str, str | None]:
        environment = cloud.environment.model_dump_json()
        return {
            "sources": self._sources,
            "environment": hashlib.sha256(environment.encode()).hexdigest(),
            "endpoint": cloud.endpoint,
            "stack": digest(self._stack.glob("*.tf.json")),
            "state": state_digest(cloud),
            # PostgreSQL's identifier of the database cluster. A new cluster has another identifier,
            # and needs all migrations.
            "database": self._control.read_bytes()[:8].hex() if self._control.exists() else None,
        }
