"""A folder of the same name for each test, and empty.

While a file is closed, the program keeps a running DuckDB for the next opening of a file of that
name. To start one takes longer than most of what a test does with it.
"""

import functools
import itertools
import os
from pathlib import Path

import pytest

from connector.destinations.duckdb.session import connection

_past = itertools.count()


class SameFolder:
    """A folder that is empty each time it is asked for."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._number = 0

    def emptied(self) -> Path:
        """The folder; what was in it is elsewhere from now on, in case somebody wants to look."""
        folder = self._folder()
        if folder.exists():
            if not _let_go(folder):
                # Something still uses a file of it: the next test should not meet that.
                self._number += 1
            folder.rename(self._base / f"past-{next(_past)}")
            folder = self._folder()
        folder.mkdir()
        return folder

    def _folder(self) -> Path:
        return self._base / f"here-{self._number}"


def _let_go(folder: Path) -> bool:
    """Forgets the DuckDB files in a folder; returns whether all of them were closed."""
    inside = [path for path in connection._gates if path.startswith(f"{folder}{os.sep}")]
    gates = [connection._gates.pop(path) for path in inside]
    for gate in gates:
        gate.let_go()
    return all(gate.instance is None and not gate.readers for gate in gates)


@functools.cache
def _of_process(base: Path) -> SameFolder:
    return SameFolder(base)


def folder_of(factory: pytest.TempPathFactory, name: str) -> SameFolder:
    """The one folder of this process with a name."""
    base = factory.getbasetemp() / name
    base.mkdir(exist_ok=True)
    return _of_process(base)


@pytest.fixture
def same_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder of the same name for each test."""
    return folder_of(tmp_path_factory, "same").emptied()
