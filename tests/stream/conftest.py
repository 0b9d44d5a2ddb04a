"""One scripted server for all of these tests, set back to its morning for each."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connector import failpoints
from connector.dynamodb import calls, client, source
from connector.pipeline import tail
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import Create

from .replica import Crash, Replica


@pytest.fixture(scope="session")
def server() -> Iterator[ScriptedDynamoDB]:
    """A scripted server with a virtual clock."""
    with ScriptedDynamoDB() as running:
        yield running


@pytest.fixture(scope="session")
def open_once(server: ScriptedDynamoDB) -> Callable[..., Any]:
    """Real clients, made once: making them takes longer than most of these tests."""
    clients = cache(lambda url: client.open_clients(config_of[url], 16))
    config_of: dict[str, Any] = {}

    def open_clients(config: Any, *_: Any) -> Any:
        config_of.setdefault(config.endpoint_url, config)
        return clients(config.endpoint_url)

    return open_clients


@pytest.fixture
def rig(
    server: ScriptedDynamoDB,
    open_once: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> ScriptedDynamoDB:
    """The server as new, and a world in which a kill is an exception."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(source, "open_clients", open_once)
    monkeypatch.setattr(failpoints, "os", dying())
    # Between two answers the program counts seconds by itself: they must be virtual as well.
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=server.clock.now))
    # The slices a wait is cut into, so that Ctrl-C need not wait long.
    monkeypatch.setattr(tail, "REST_SECONDS", 60.0)
    server.reset()
    return server


def dying() -> Any:
    """What failpoints see of the operating system: to be killed is to raise Crash."""

    def kill(process: int, signal: int) -> None:
        raise Crash

    return SimpleNamespace(environ={}, kill=kill, getpid=os.getpid)


@pytest.fixture
def replica(rig: ScriptedDynamoDB) -> Replica:
    """An empty table with one open shard, and its replica in memory."""
    Create().play(made := Replica(rig))
    return made


@pytest.fixture
def stored(rig: ScriptedDynamoDB, tmp_path: Path) -> Replica:
    """An empty table with one open shard, and its replica in a DuckDB file."""
    Create().play(made := Replica(rig, folder=tmp_path))
    return made


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """GetRecords answers of one record, and rounds of one page."""
    monkeypatch.setattr("tests.rigs.scripted.reading.MAX_BYTES", 1)
