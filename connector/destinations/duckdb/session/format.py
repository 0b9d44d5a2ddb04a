"""The format of a DuckDB file, which determines the oldest DuckDB that can read it."""

import re
from pathlib import Path

import duckdb

from connector.errors import DestinationRefused

# Measured: after a killed commit, DuckDB 1.3 passes over the log beside a file of its own format
# that a newer DuckDB wrote, and shows the table without it. It reads the log of 1.2's format.
_WRITTEN_AS = {"1.3": "1.2"}


def settings(version: str | None) -> dict[str, str]:
    """The setting that lets a DuckDB such as 1.4 read a new file; empty for the newest format."""
    if not version:
        return {}
    return {"storage_compatibility_version": f"v{_WRITTEN_AS.get(version, version)}.0"}


def refuse_newer(connection: duckdb.DuckDBPyConnection, path: Path, version: str) -> None:
    """Raises DestinationRefused if `version` cannot read the file.

    DuckDB sets a file's format once, and later ignores the setting silently.
    """
    sql = "SELECT tags['storage_version'] FROM duckdb_databases() "
    found = connection.execute(sql + "WHERE database_name = current_database()").fetchone()
    oldest = _parts(found[0] or "") if found else ()
    if oldest > _parts(version):
        raise DestinationRefused(
            f"{path} is in the format of DuckDB {'.'.join(map(str, oldest))}, which DuckDB "
            f"{version} cannot read: a file keeps the format that it was created with.",
            "Choose a new file, copy this one (docs/operations.md, Versions of DuckDB), or change "
            "destination.storage_version.",
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)[:2]))
