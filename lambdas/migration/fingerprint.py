"""What a database holds, in numbers that two copies can be compared by."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pg8000.native

BUCKETS = 256
"""Groups that a table's rows are spread over by their content, so that a few changes leave most of them alike."""

_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
# The text of a whole row and its hash: of the rows' keys for the bucket, of everything for the checksum.
_FINGERPRINT = """
SELECT get_byte(decode(md5(r.id), 'hex'), 0) AS bucket, count(*), sum(hashtextextended(r.content, 0))::text
FROM (SELECT ({key})::text AS id, t::text AS content FROM {table} t) r GROUP BY 1 ORDER BY 1
"""
_KEY = """
SELECT string_agg(format('%I', a.attname), ', ') FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = CAST(:name AS regclass) AND i.indisprimary
"""

Fingerprint = dict[str, dict[str, tuple[int, str]]]
"""By table and bucket: how many rows, and the sum of their hashes."""


def fingerprint(connection: "pg8000.native.Connection") -> Fingerprint:
    """The fingerprint of all tables, as of one instant."""
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        found: Fingerprint = {}
        for [table] in connection.run(_TABLES):
            [[key]] = connection.run(_KEY, name=table)
            # Identifiers that PostgreSQL has quoted itself; there is nothing else in the text.
            sql = _FINGERPRINT.format(key=f"ROW({key})" if key else "t", table=table)
            found[table] = {
                str(bucket): (count, checksum) for bucket, count, checksum in connection.run(sql)
            }
        return found
    finally:
        connection.run("ROLLBACK")
