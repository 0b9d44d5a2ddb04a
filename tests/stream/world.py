"""The world the program runs in here: virtual time, kills that raise, clients made once."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from connector import failpoints
from connector.pipeline.following import round as one_round
from connector.pipeline.following import tail
from connector.sources.dynamodb import calls, client, source
from connector.sources.kinesis import pace
from tests.rigs.scripted import ScriptedDynamoDB, reading
from tests.rigs.scripted import scan as scanning

from .inline import LateCommitting
from .replica import Crash

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def world(server: ScriptedDynamoDB) -> Iterator[ScriptedDynamoDB]:
    """Lets the program run in this server's time."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        stack.enter_context(patch.object(source, "open_clients", _open_clients))
        stack.enter_context(patch.object(failpoints, "os", _dying()))
        # Between two answers the program counts seconds by itself: they must be virtual as well.
        virtual = SimpleNamespace(monotonic=server.clock.now, time=server.clock.now)
        stack.enter_context(patch.object(calls, "time", virtual))
        stack.enter_context(patch.object(pace, "time", virtual))
        stack.enter_context(patch.object(pace, "PROCESS", pace.Paces()))
        # The slices a wait is cut into, so that Ctrl-C need not wait long.
        stack.enter_context(patch.object(tail, "REST_SECONDS", 60.0))
        stack.enter_context(patch.object(one_round, "Committing", LateCommitting))
        server.reset()
        yield server


@contextmanager
def pages(record_bytes: int, scan_bytes: int) -> Iterator[None]:
    """GetRecords and Scan answers of other sizes than DynamoDB's megabyte."""
    with (
        patch.object(reading, "MAX_BYTES", record_bytes),
        patch.object(scanning, "PAGE_BYTES", scan_bytes),
    ):
        yield


_opened: dict[tuple[str, str | None], Any] = {}


def _open_clients(config: Any, *_: Any) -> Any:
    """Real clients, made once for each server and Region: that takes longer than most tests."""
    where = (config.endpoint_url, config.region)
    _opened.setdefault(where, config)
    return _clients(where)


@cache
def _clients(where: tuple[str, str | None]) -> Any:
    return client.open_clients(_opened[where], 16)


@contextmanager
def open_clients_of_their_own() -> Iterator[None]:
    """Lets each source have new clients, made as the program makes them, and closed in the end."""
    opened: list[client.Clients] = []

    def open_clients(*arguments: Any) -> client.Clients:
        opened.append(client.open_clients(*arguments))
        return opened[-1]

    try:
        with patch.object(source, "open_clients", open_clients):
            yield
    finally:
        for each in opened:
            each.dynamodb.close()
            each.streams.close()


def _dying() -> Any:
    """What failpoints see of the operating system: to be killed is to raise Crash."""

    def kill(process: int, signal: int) -> None:
        raise Crash

    return SimpleNamespace(environ={}, kill=kill, getpid=os.getpid)
