"""A DuckDB that was started before a process becomes a run, for the first that the run starts.

To start one takes longer than most commands do anything else. This one has no thread until a run
takes it, since a fork would lack it.
"""

from collections.abc import Mapping
from typing import Any

import duckdb

Settings = Mapping[str, Any]

# Those of each run; DuckDB may be told them after its start.
_OF_A_RUN = ("temp_directory", "threads")

_start = duckdb.connect


class Spare:
    """At most one that waits."""

    def __init__(self) -> None:
        self._settings: Settings = {}
        self._started: duckdb.DuckDBPyConnection | None = None

    @property
    def waits(self) -> bool:
        """Whether there is one."""
        return self._started is not None

    def connect(self, *arguments: Any, **more: Any) -> duckdb.DuckDBPyConnection:
        """The one that was started, if it was for the same settings; else what DuckDB does."""
        if arguments or set(more) != {"config"}:
            return _start(*arguments, **more)
        settings, waiting = more["config"], self._started
        if waiting is None or not _alike(settings, self._settings):
            self._settings = settings
            return _start(config=settings)
        self._started = None
        for name in _OF_A_RUN:
            waiting.execute(f"SET {name} = $1", [settings[name]])
        waiting.execute("RESET async_threads")
        return waiting

    def start(self) -> None:
        """Starts one with the settings that the last one was started with."""
        alone = {"threads": "1", "async_threads": "0"}
        self._started = _start(config={**self._settings, **alone})
        # The first to ask for tables has it make all the views that it brings.
        self._started.execute("SELECT 1 FROM duckdb_tables()").fetchall()


def _alike(some: Settings, others: Settings) -> bool:
    return some.keys() == others.keys() and all(
        some[name] == others[name] for name in some.keys() - set(_OF_A_RUN)
    )


spare = Spare()


def install() -> None:
    """From now on, this process starts DuckDB so."""
    setattr(duckdb, "connect", spare.connect)  # noqa: B010
