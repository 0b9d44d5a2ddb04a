"""The place of the published copy: what may be replaced there, and how it is replaced."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from connector.destinations.duckdb.publish.label import Label, checkpoint_of, label_of
from connector.errors import Busy, ConnectorError, DestinationRefused, DiskFull
from connector.failpoints import failpoint

_PRIVATE = 0o600
_BEGUN = ".connector-copy"
"""The suffix of a copy that is not complete."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ELSEWHERE = "Choose another name for destination.publish, or move away what is there."


@dataclass(frozen=True)
class Place:
    """Where copies of a file are published."""

    path: Path
    of: Path

    def found(self) -> Label | None:
        """The label of the copy that is there; None if there is nothing.

        Raises DestinationRefused if what is there must not be replaced: only a copy of this file
        may be, as it was published, or an empty file.
        """
        with self._errors():
            there = _lstat(self.path)
            self._refuse_written()
            if there is None:
                self._refuse_folder()
                return None
            self._refuse_kind(there)
            if there.st_size == 0:
                return None
            return self._labelled()

    def _refuse_folder(self) -> None:
        if not self.path.parent.is_dir():
            raise DestinationRefused(
                f"The folder {self.path.parent}, where the copy is to be published, does not "
                "exist.",
                "Create it, or choose another path for destination.publish.",
            )

    def _refuse_kind(self, there: os.stat_result) -> None:
        kind = _kind_of(there.st_mode)
        if kind:
            raise DestinationRefused(
                f"{self.path} is {kind}, so no copy can be published there.", _ELSEWHERE
            )
        for name in ("", ".wal"):
            own = _lstat(Path(os.path.realpath(f"{self.of}{name}")))
            if own is not None and os.path.samestat(there, own):
                raise DestinationRefused(
                    f"{self.path} is the DuckDB file itself, or its log.",
                    "Choose another name for destination.publish.",
                )

    def _refuse_written(self) -> None:
        log = Path(f"{self.path}.wal")
        if _lstat(log) is not None:
            raise DestinationRefused(
                f"{log} exists: somebody has written to the published copy, which the next copy "
                "would replace.",
                "Open copies with read_only=True. Save what was written, and remove both files.",
            )

    def _labelled(self) -> Label:
        descriptor = os.open(self.path, _READ)
        try:
            label = label_of(descriptor)
            intact = label is not None and checkpoint_of(descriptor) == label.checkpoint
        finally:
            os.close(descriptor)
        if label is None:
            raise DestinationRefused(
                f"{self.path} is not a copy that the connector has published, so it is not "
                "replaced.",
                _ELSEWHERE,
            )
        if not intact:
            raise DestinationRefused(
                f"{self.path} was changed since it was published, so it is not replaced.",
                "Open copies with read_only=True. Save what was written, and remove the file.",
            )
        if label.of != shown(self.of) and _others(Path(label.of), self.of):
            raise DestinationRefused(
                f"{self.path} is a copy of another file, {label.of}, so it is not replaced.",
                _ELSEWHERE,
            )
        return label

    @property
    def begun_path(self) -> Path:
        """Where a copy is while it is not complete."""
        return self.path.with_name(f".{self.path.name}{_BEGUN}")

    @contextmanager
    def begun(self) -> Iterator[int]:
        """An empty file beside the place, for the next copy; removed at the end if it is left.

        Raises Busy if another run is copying.
        """
        path = self.begun_path
        with self._errors():
            descriptor = _created(path)
        try:
            yield descriptor
        finally:
            # Still locked: otherwise it could be the one that another run has begun.
            if _is_at(path, descriptor):
                with suppress(OSError):
                    path.unlink()
            os.close(descriptor)

    def replace(self, copy: int) -> None:
        """Puts a complete copy in the place, so that it survives a power failure."""
        with self._errors():
            os.fsync(copy)
            self._keep_access(copy)
            failpoint("publish.before_rename")
            self.begun_path.rename(self.path)
            failpoint("publish.after_rename")
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _keep_access(self, copy: int) -> None:
        """Lets those read the copy whom its owner has let read the last one."""
        before = _lstat(self.path)
        if before is None:
            return
        if os.fstat(copy).st_gid != before.st_gid:
            with suppress(PermissionError):
                os.fchown(copy, -1, before.st_gid)
        if os.fstat(copy).st_gid == before.st_gid:
            os.fchmod(copy, stat.S_IMODE(before.st_mode) & 0o666)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.problem(error) from error

    def problem(self, error: OSError) -> ConnectorError:
        """Our error for the system's."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull(
                f"There is no room for a new copy in {self.path.parent}; the last one, if any, is "
                "still there.",
                "Make room: while a copy is made, there are two. The next run publishes again.",
            )
        return DestinationRefused(
            f"{self.path} cannot be published: {error.strerror}.",
            "Choose a path for destination.publish in a folder that this program may write to.",
        )


def shown(path: Path) -> str:
    """A path as text, even if it is not valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _others(known: Path, own: Path) -> bool:
    """Whether a copy's file still exists, and is another one than this, which may be new."""
    try:
        there = known.stat()
    except OSError:
        return False
    try:
        return not os.path.samestat(there, own.stat())
    except FileNotFoundError:
        return True


def _kind_of(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "no ordinary file"


def _is_at(path: Path, descriptor: int) -> bool:
    there = _lstat(path)
    return there is not None and os.path.samestat(there, os.fstat(descriptor))


def _created(path: Path) -> int:
    """A new file, locked by this run; what a killed run has left there is removed."""
    while True:
        try:
            descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE
            )
        except FileExistsError:
            _remove_left(path)
            continue
        if _locked(descriptor) and _is_at(path, descriptor):
            return descriptor
        # Another run took it for one that was left.
        os.close(descriptor)


def _remove_left(path: Path) -> None:
    """Removes the file of a run that was killed. Raises Busy if the run is still copying."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not _locked(descriptor):
            raise Busy(
                f"Another run is publishing a copy: it writes {path}.",
                "Nothing is wrong; the next run publishes again if anything is newer.",
            )
        if _is_at(path, descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
