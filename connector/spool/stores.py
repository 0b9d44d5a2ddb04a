"""Where the spool's files are: in a local folder, or in an object store."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from connector.errors import ConfigError, SpoolFull, Unreachable
from connector.failpoints import failpoint

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PASSING = (
    "INTERNAL_FAILURE",
    "NETWORK_CONNECTION",
    "REQUEST_TIMEOUT",
    "SERVICE_UNAVAILABLE",
    "SLOW_DOWN",
    "THROTTLING",
)


class Store(Protocol):
    """A folder of files that appear whole or not at all."""

    def write(self, name: str, content: pa.Buffer) -> None: ...

    def open(self, name: str) -> pa.NativeFile | None: ...

    def drop(self) -> None: ...


class LocalStore:
    """A local folder."""

    def __init__(self, root: Path, shown: str) -> None:
        self._root = root
        self._shown = shown

    def write(self, name: str, content: pa.Buffer) -> None:
        path = self._root / name
        temporary = path.with_name(f".{uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write_synced(temporary, content)
            failpoint("spool.before_rename")
            temporary.rename(path)
            self._sync_folder(path.parent)
        except OSError as error:
            # If the file could not be written, there may be nothing to remove.
            with suppress(OSError):
                temporary.unlink()
            if error.errno in _FULL:
                raise SpoolFull(
                    f"There is no room left in the spool {self._shown}.",
                    "Free some space or set `spool:` to another folder, and run the same command "
                    "again: it resumes where it stopped.",
                ) from error
            raise self._refused("written", error) from error

    @staticmethod
    def _write_synced(path: Path, content: pa.Buffer) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open(self, name: str) -> pa.NativeFile | None:
        path = self._root / name
        try:
            path.stat()
            return pa.memory_map(str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused("read", error) from error

    def _refused(self, done: str, error: OSError) -> ConfigError:
        return ConfigError(
            f"The spool {self._shown} cannot be {done}: {error.strerror or type(error).__name__}.",
            "Set `spool:` to a folder that this user may write to.",
        )

    def drop(self) -> None:
        # An abandoned worker may still be writing here; its files do no harm.
        shutil.rmtree(self._root, ignore_errors=True)


class RemoteStore:
    """An object store, where a file appears when its upload is complete."""

    def __init__(self, filesystem: fs.FileSystem, root: str, shown: str) -> None:
        self._filesystem = filesystem
        self._root = root
        self._shown = shown

    def write(self, name: str, content: pa.Buffer) -> None:
        with (
            self._answering("written"),
            self._filesystem.open_output_stream(f"{self._root}/{name}") as stream,
        ):
            stream.write(content)

    def open(self, name: str) -> pa.NativeFile | None:
        path = f"{self._root}/{name}"
        with self._answering("read"):
            if self._filesystem.get_file_info(path).type is not fs.FileType.File:
                return None
            return self._filesystem.open_input_file(path)

    def drop(self) -> None:
        with self._answering("emptied"):
            if self._filesystem.get_file_info(self._root).type is fs.FileType.Directory:
                self._filesystem.delete_dir(self._root)

    @contextmanager
    def _answering(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Only the code of the store's message is shown: "AWS Error ACCESS_DENIED during …".
            code = re.search(r"AWS Error ([A-Z_]+)", str(error))
            reason = f" ({code[1]})" if code else ""
            what = f"The spool {self._shown} cannot be {done}{reason}."
            if code is None or code[1] in _PASSING:
                hint = "Check the network, and run the same command again later."
                raise Unreachable(what, hint) from error
            raise ConfigError(
                what,
                "The credentials need s3:PutObject, s3:GetObject, s3:DeleteObject and "
                "s3:ListBucket there; or set `spool:` to another place.",
            ) from error


def open_store(location: str, folder: str) -> Store:
    """The store of a folder below a location. Raises ConfigError if the location is invalid."""
    if "://" not in location:
        return LocalStore(Path(location) / folder, location)
    try:
        filesystem, root = fs.FileSystem.from_uri(location)
    except (pa.ArrowException, ValueError) as error:
        raise ConfigError(
            f"The spool {location} cannot be opened.", "Use a folder or an s3:// location."
        ) from error
    return RemoteStore(filesystem, f"{root.rstrip('/')}/{folder}", location)
