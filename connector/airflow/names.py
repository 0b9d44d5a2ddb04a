"""Names that Airflow accepts: DAG ids and pools, for tables and files of any name."""

import re
from hashlib import sha256
from pathlib import Path

TAG = "connector"
"""The tag of every DAG that the factory creates."""

MISSING_POOLS = "missing_pools"
"""The key under which a run's conf lists pools that do not exist."""

_ARN = re.compile(r"arn:[^:]+:dynamodb:([^:]+):(\d+):table/(.+)")
# The folder of the logs is named `dag_id=…`, and file names have at most 255 bytes.
_LONGEST = 200


def snapshot_id(table: str) -> str:
    """The id of the DAG that reads a whole table."""
    return f"{_dag_name(table)}__snapshot"


def tail_id(table: str) -> str:
    """The id of the DAG that follows a table's stream."""
    return f"{_dag_name(table)}__tail"


def failover_id(table: str) -> str:
    """The id of the DAG that goes on with a table in another Region."""
    return f"{_dag_name(table)}__failover"


def repair_id(table: str) -> str:
    """The id of the DAG that fills in what a table's stream has lost."""
    return f"{_dag_name(table)}__repair"


def _dag_name(table: str) -> str:
    arn = _ARN.fullmatch(table)
    # Tables of two accounts may have the same name. The hash distinguishes an ARN from a table
    # that is called like its readable form.
    name = f"{arn[3]}.{arn[1]}.{arn[2]}.{digest(table)}" if arn else table
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}.{digest(table)}"


# Existing pools were created with this prefix.
_POOL = "duckdb_"


def pool_of(file: Path) -> str:
    """The one-slot pool of a file that only one process at a time may write.

    Files of the same name share a pool, which only costs time.
    """
    return f"{_POOL}{re.sub(r'[^A-Za-z0-9_.-]', '_', file.stem)}"


def pool_command(pool: str) -> str:
    """The command that creates a pool for one writer."""
    return f'airflow pools set {pool} 1 "One writer"'


def digest(text: str) -> str:
    """Eight characters that distinguish texts."""
    return sha256(text.encode()).hexdigest()[:8]
