"""Connections that are kept for the next operation: to make one takes longer than most of them."""

import atexit
import os
import time
from contextlib import suppress
from threading import Lock

from adbc_driver_manager import Error, dbapi

_SECONDS = 10.0
"""How long one may wait: whatever is between here and the server forgets silent ones in time."""

_AT_MOST = 4

_Way = tuple[str, ...]

_waiting: dict[_Way, tuple[dbapi.Connection, float]] = {}
"""A connection without a transaction, and since when it waits; the oldest comes first."""

_lock = Lock()


def take(url: str) -> dbapi.Connection | None:
    """A connection that still works, in a new session and a new transaction."""
    _close(_too_old())
    with _lock:
        connection, _ = _waiting.pop(_way(url), (None, 0.0))
    if connection is None:
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
        connection.adbc_connection.set_autocommit(False)
    except Error:
        # The server has ended it, as it may at any time.
        _close([connection])
        return None
    return connection


def keep(url: str, connection: dbapi.Connection) -> None:
    """Keeps a connection for the next operation, and rolls back what was not committed."""
    try:
        connection.rollback()
        connection.adbc_connection.set_autocommit(True)
    except Error:
        _close([connection])
        return
    way = _way(url)
    with _lock:
        replaced = [_waiting.pop(way)[0]] if way in _waiting else []
        _waiting[way] = (connection, time.monotonic())
        more = [_waiting.pop(each)[0] for each in list(_waiting)[:-_AT_MOST]]
    _close([*replaced, *more, *_too_old()])


def release() -> None:
    """Closes all that wait: a fork must not have the same connections."""
    with _lock:
        waiting = [connection for connection, _ in _waiting.values()]
        _waiting.clear()
    _close(waiting)


def _too_old() -> list[dbapi.Connection]:
    oldest = time.monotonic() - _SECONDS
    with _lock:
        old = [way for way, (_, since) in _waiting.items() if since < oldest]
        return [_waiting.pop(way)[0] for way in old]


def _way(url: str) -> _Way:
    """Everything that says where a url leads, and as whom."""
    return url, *(f"{name}={os.environ[name]}" for name in sorted(os.environ) if name[:2] == "PG")


def _close(connections: list[dbapi.Connection]) -> None:
    for connection in connections:
        with suppress(Error):
            connection.close()


os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
# What is registered last comes first.
os.register_at_fork(before=release)
atexit.register(release)
