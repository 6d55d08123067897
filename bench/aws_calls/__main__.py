"""Counts the AWS calls of every route, WebSocket frame and event, and writes
ops/capacity/calls.yml.

python -m bench.aws_calls

Needs no running platform. The functions run in this process, with moto in place of AWS.
"""

from __future__ import annotations

from bench import create_parser
from bench.aws_calls.measurement import FILE, measure, write
from tests.postgres import migrate, running


def main() -> None:
    create_parser(__doc__).parse_args()
    with running() as postgres, postgres.database() as migrated:
        migrate(postgres, migrated)
        write(measure(postgres, migrated))
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
