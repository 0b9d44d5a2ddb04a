"""A process of its own that reads all targets of a DuckDB file, once for each line of its input."""

import json
import sys
from typing import Any

import duckdb


def read(path: str, targets: list[str]) -> list[list[Any]]:
    """The keys in each target, one after the other in one transaction."""
    while True:
        try:
            with duckdb.connect(path, read_only=True) as connection:
                connection.begin()
                return [
                    connection.execute(f"SELECT pk, sk FROM {name}").fetchall() for name in targets
                ]
        except duckdb.IOException:
            # A commit has the file.
            continue


if __name__ == "__main__":
    for _ in sys.stdin:
        print(json.dumps(read(sys.argv[1], sys.argv[2:])), flush=True)
