"""Publishes copies of a DuckDB file, without keeping those waiting who write it.

docs/decisions/a-copy-between-two-checkpoints.md says why such a copy is consistent.
"""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from connector.core.publishing import Copied, Held, Standing, held
from connector.destinations.duckdb.publish.copying import Shorter, cloned, copy_bytes
from connector.destinations.duckdb.publish.label import Label, checkpoint_of
from connector.destinations.duckdb.publish.place import Place, shown
from connector.destinations.duckdb.session.connection import Connection, DuckDBFile
from connector.destinations.duckdb.state import state_schema
from connector.destinations.state.standings import standings
from connector.errors import Busy, ConnectorError
from connector.failpoints import failpoint
from connector.stop import MACHINE

TRIES = 3
"""How often a copy is begun that other processes write to meanwhile."""
_PATIENCE_SECONDS = 2.0
_LOCK_TRIES = 20
_LOCK_SECONDS = 0.1


class _Overtaken(Exception):
    """Another process has moved its log into the file while the file was copied."""


@dataclass(frozen=True)
class _Image:
    """The file at its last checkpoint, and the empty file to which it is copied."""

    source: int
    copy: int
    size: int
    label: Label
    standings: list[Standing]
    times: tuple[int | None, ...]
    shared: bool

    def refuse_overtaken(self) -> None:
        """Raises _Overtaken if the file has had another checkpoint."""
        if checkpoint_of(self.source) != self.label.checkpoint:
            raise _Overtaken


class Publication:
    """Copies of one DuckDB file, published in one place; safe to use from several threads."""

    def __init__(self, file: DuckDBFile, path: Path, every: float) -> None:
        self.every = every
        # Whoever waits for another process keeps the tables of this one waiting.
        self._file = replace(file, lock_timeout=min(file.lock_timeout, _PATIENCE_SECONDS))
        self._place = Place(path, file.path)
        self._seen: tuple[int | None, ...] | None = None

    def check(self) -> str:
        """Tries whether a copy can be put in its place. Raises DestinationRefused, or Busy."""
        last = self._place.found()
        with self._place.begun():
            pass
        return f"{self._place.path}" + (
            f", last published {last.at:%Y-%m-%d %H:%M:%S %Z}" if last else ", not published yet"
        )

    def refuse(self) -> None:
        """Raises DestinationRefused if what is in the place must not be replaced."""
        self._place.found()

    def newest(self) -> datetime | None:
        """Of when the published copy is; None if there is none that can be told."""
        try:
            last = self._place.found()
        except ConnectorError:
            return None
        return last.at if last else None

    def publish(self, going: Callable[[], None]) -> Copied | Held | None:
        """Publishes the file as it is now, unless that is published already.

        `going` is called again and again, and may raise. Raises Busy if another run publishes, or
        if other processes write to the file again and again.
        """
        last = self._place.found()
        if not self._file.exists() or (last is not None and self._seen == self._times()):
            return None
        for _ in range(TRIES):
            try:
                return self._attempt(last, going)
            except (_Overtaken, Shorter):
                continue
            except OSError as error:
                raise self._place.problem(error) from error
        raise Busy(
            f"Other processes write to {self._file.path.name} too often for a copy to be made.",
            "Nothing is wrong with the file; the next run tries again.",
        )

    def _times(self) -> tuple[int | None, ...]:
        """When the file and its log were last written."""
        return tuple(map(_written_at, (self._file.path, Path(f"{self._file.path}.wal"))))

    def _attempt(self, last: Label | None, going: Callable[[], None]) -> Copied | Held | None:
        began = time.monotonic()
        # Before anything else: a second run that writes the file would disturb the first.
        with self._place.begun() as copy:
            image = self._begun(last, copy)
            if not isinstance(image, _Image):
                return image
            if not image.shared:
                self._copied(image, going)
            image.label.write(copy, image.size)
            self._place.replace(copy)
        self._seen = image.times
        seconds = round(time.monotonic() - began, 2)
        return Copied(self._place.path, image.size, seconds, image.shared)

    def _begun(self, last: Label | None, copy: int) -> _Image | Held | None:
        """The image to copy, which is copied already if the file system can let it be shared.

        Otherwise it does not change until `_end`, unless another process changes it.
        """
        with self._file.alone() as alone:
            alone.checkpoint()
            source = os.open(self._file.path, os.O_RDONLY | os.O_CLOEXEC)
            image: _Image | Held | None = None
            try:
                with alone.locked() as connection:
                    image = self._looked(source, connection, last, copy)
            finally:
                if isinstance(image, _Image) and not image.shared:
                    alone.hold_checkpoints(True)
                else:
                    os.close(source)
        return image

    def _looked(
        self, source: int, connection: Connection, last: Label | None, copy: int
    ) -> _Image | Held | None:
        found = standings(state_schema(connection))
        reasons, checkpoint = held(found), checkpoint_of(source)
        if reasons or not found:
            return reasons
        times = self._times()
        if last is not None and last.checkpoint == checkpoint:
            self._seen = times
            return None
        size = os.fstat(source).st_size
        label = Label(shown(self._file.path), checkpoint, MACHINE.now())
        return _Image(source, copy, size, label, found, times, cloned(source, copy))

    def _copied(self, image: _Image, going: Callable[[], None]) -> None:
        """Copies the image while commits go on, and proves that it has not changed meanwhile."""

        def still() -> None:
            going()
            failpoint("publish.while_copying")
            image.refuse_overtaken()

        unchanged = False
        try:
            copy_bytes(image.source, image.copy, image.size, still)
            unchanged = True
        finally:
            self._end(image, check=unchanged)
        if self._standings_of(self._place.begun_path) != image.standings:
            raise _Overtaken

    def _end(self, image: _Image, check: bool) -> None:
        """Lets commits go into the file again. Raises _Overtaken if another one did meanwhile."""
        with self._file.alone() as alone:
            try:
                if check:
                    _refuse_written(image)
            finally:
                alone.hold_checkpoints(False)
                os.close(image.source)
            alone.checkpoint_if_free()

    def _standings_of(self, copy: Path) -> list[Standing]:
        """What DuckDB finds in a copy, which it reads as any reader does."""
        try:
            with duckdb.connect(copy, read_only=True, config={"threads": "1"}) as connection:
                return standings(state_schema(connection))
        except duckdb.Error as error:
            raise _Overtaken from error


def _refuse_written(image: _Image) -> None:
    """Raises _Overtaken unless no other process has written the file, or is about to."""
    for _ in range(_LOCK_TRIES):
        try:
            # Shared, as a reader's: DuckDB holds it exclusively in whatever process it writes.
            fcntl.lockf(image.source, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_LOCK_SECONDS)
            continue
        image.refuse_overtaken()
        return
    raise _Overtaken


def _written_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
