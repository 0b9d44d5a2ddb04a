"""A crash inside this process: a named failpoint raises what no code of the program catches."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from connector import failpoints


class Crash(BaseException):
    """The process would be gone now."""


def _crash(*_: object) -> None:
    raise Crash


@contextmanager
def crash_at(point: str) -> Iterator[None]:
    """Runs a block that crashes where it comes to this point, and ends there at the latest."""
    quiet = SimpleNamespace(environ=os.environ, getpid=os.getpid, kill=_crash)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(failpoints.VARIABLE, point)
        patch.setattr(failpoints, "os", quiet)
        with suppress(Crash):
            yield
