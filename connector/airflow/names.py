"""Names that Airflow accepts: DAG ids and pools, for tables and files of any name."""

import re
from hashlib import sha256
from pathlib import Path

TAG = "connector"
"""The tag of every DAG that is made here."""

MISSING_POOLS = "missing_pools"
"""Under this name a run's conf lists its pools that do not exist."""

_ARN = re.compile(r"arn:[^:]+:dynamodb:([^:]+):(\d+):table/(.+)")
# A log's folder is named `dag_id=…`, and a name in a file system has at most 255 bytes.
_LONGEST = 200


def snapshot_id(table: str) -> str:
    """The id of the DAG that reads a whole table."""
    return f"{_dag_name(table)}__snapshot"


def tail_id(table: str) -> str:
    """The id of the DAG that follows a table's stream."""
    return f"{_dag_name(table)}__tail"


def _dag_name(table: str) -> str:
    arn = _ARN.fullmatch(table)
    # Tables of two accounts may have one name; `:` is none of a plain table's characters, so the
    # hash keeps an ARN apart from a table that is called like its readable form.
    name = f"{arn[3]}.{arn[1]}.{arn[2]}.{digest(table)}" if arn else table
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}.{digest(table)}"


# Pools that people have made keep their name.
_POOL = "duckdb_"


def pool_of(file: Path) -> str:
    """The one-slot pool of a file that one process at a time may write.

    Two files of one name share it, which only costs time.
    """
    return f"{_POOL}{re.sub(r'[^A-Za-z0-9_.-]', '_', file.stem)}"


def pool_command(pool: str) -> str:
    """The command that makes a pool for one writer."""
    return f'airflow pools set {pool} 1 "One writer"'


def digest(text: str) -> str:
    """Eight characters that tell texts apart."""
    return sha256(text.encode()).hexdigest()[:8]
