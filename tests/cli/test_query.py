"""`connector query` reads what is in the destination, and does nothing else."""

import pytest

from connector.destinations.duckdb.file import DuckDBDestination
from connector.errors import ConnectorError

from .program import Program, fingerprints

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_query")

REFUSED = (
    "DELETE FROM orders",
    "DROP TABLE orders",
    "UPDATE orders SET n = 1",
    "CREATE TABLE x AS SELECT 1",
    "SELECT 1; DROP TABLE orders",
    "SELECT 1; SELECT 2",
    "COPY orders TO 'out.csv'",
    "EXPORT DATABASE 'out'",
    "ATTACH 'other.duckdb'",
    "SELECT * FROM read_csv('connector.yaml')",
    "SELECT * FROM '/etc/passwd'",
    "SET enable_external_access = true",
    "SET TimeZone = 'CET'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM nowhere",
    "SELECT nothing FROM orders",
    "SELECT CAST(id || 'x' AS INTEGER) FROM orders",
    "SELECT",
)


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_no_reading_is_refused_with_a_sentence(synced: Program, sql: str) -> None:
    before = fingerprints(synced.folder)
    with pytest.raises(ConnectorError) as caught:
        DuckDBDestination(synced.file).query(sql)
    assert fingerprints(synced.folder) == before
    assert caught.value.exit_code == 2
    assert "refused to write" not in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, n FROM orders ORDER BY n",
        "WITH o AS (FROM orders) SELECT count(*) FROM o",
        "DESCRIBE orders",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "SELECT * FROM _connector.tables",
        "VALUES (1), (2)",
    ],
)
def test_what_reads_is_answered(synced: Program, sql: str) -> None:
    assert len(DuckDBDestination(synced.file).query(sql)) > 0
