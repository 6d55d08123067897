"""Fingerprints of a database's content, to compare two copies."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pg8000.native

_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
# The checksum covers all columns of a row. The first byte of the hash of the row's key selects one
# of 256 buckets, so a changed row affects one bucket.
_FINGERPRINT = """
SELECT get_byte(decode(md5(r.id), 'hex'), 0) AS bucket, count(*),
    sum(hashtextextended(r.content, 0))::text
FROM (SELECT ({key})::text AS id, t::text AS content FROM {table} t) r GROUP BY 1 ORDER BY 1
"""
_KEY = """
SELECT string_agg(format('%I', a.attname), ', ') FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = CAST(:name AS regclass) AND i.indisprimary
"""

Fingerprint = dict[str, dict[str, tuple[int, str]]]
"""For each table and bucket, the number of rows and the sum of the rows' hashes."""


def fingerprint(connection: "pg8000.native.Connection") -> Fingerprint:
    """Returns the fingerprint of all tables from one consistent snapshot."""
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        tables: Fingerprint = {}
        for [table] in connection.run(_TABLES):
            [[key]] = connection.run(_KEY, name=table)
            # This is safe from SQL injection, because only identifiers that PostgreSQL itself has
            # quoted are inserted.
            sql = _FINGERPRINT.format(key=f"ROW({key})" if key else "t", table=table)
            tables[table] = {
                str(bucket): (count, checksum) for bucket, count, checksum in connection.run(sql)
            }
        return tables
    finally:
        connection.run("ROLLBACK")
