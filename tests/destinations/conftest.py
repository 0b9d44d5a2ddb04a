"""The destinations that must keep the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from connector.destinations.duckdb import DuckDBDestination
from connector.ports import Destination

from .fake import FakeDestination
from .story import Story

Make = Callable[..., Destination]


@pytest.fixture(params=["fake", "duckdb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes an empty destination; `max_columns` may be given."""

    def made(**options: int) -> Destination:
        if request.param == "fake":
            return FakeDestination(**options)
        return DuckDBDestination(tmp_path / "warehouse.duckdb", lock_timeout=5, **options)

    return made


@pytest.fixture
def destination(make: Make) -> Destination:
    """An empty destination."""
    return make()


@pytest.fixture
def story(destination: Destination) -> Story:
    """A table that is planned."""
    told = Story(destination)
    told.plan()
    return told
