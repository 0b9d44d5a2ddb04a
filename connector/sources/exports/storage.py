"""Where an export's files are: a folder of this machine, or a bucket; read only, and in blocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote

import pyarrow as pa
from pyarrow import fs

from connector.config.urls import check_exports
from connector.errors import ConfigError, ConnectorError, ExportRefused
from connector.sources.exports.manifest import AGAIN

BLOCK_BYTES = 4 * 1024**2

Answer = TypeVar("Answer")


class Bucket(Protocol):
    """The log-in to one bucket, whose credentials may change between two reads."""

    def filesystem(self) -> fs.FileSystem:
        """To read with now; another object than before where the credentials are others."""
        ...

    def moved(self, error: OSError) -> bool:
        """Whether an error comes from a Region where the bucket is not; it is read in its own then.

        True once: what is tried again has the Region that S3 told.
        """
        ...

    def problem(self, error: OSError, path: str, url: str) -> ConnectorError:
        """Our error for one of S3."""
        ...


@dataclass(frozen=True)
class Place:
    """An url of a folder: what stands before its path, and the path as pyarrow wants it."""

    scheme: str
    path: str

    def url(self, path: str) -> str:
        """The url of a path below it, as a user writes it."""
        # In a key of a bucket, a percent sign is a letter like any other.
        return f"{self.scheme}://{path if self.scheme == 's3' else quote(path)}"

    @property
    def bucket(self) -> str:
        """The bucket, where it is one."""
        return self.path.partition("/")[0]


def place(url: str) -> Place:
    """The place of an `s3://` or `file://` url. Raises ConfigError for any other."""
    check_exports(url)
    scheme, _, path = url.partition(":")
    path = path.removeprefix("//")
    if scheme.lower() == "s3":
        # The whole of it: in a key, a question mark is a letter like any other.
        return Place("s3", path.strip("/"))
    return Place("file", unquote(path.removeprefix("localhost")).rstrip("/") or "/")


@dataclass
class Storage:
    """Reads files, each by its path; what goes wrong is told by the file's url."""

    at: Place
    bucket: Bucket | None = None

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""
        with self._telling(path):
            file = self._there(path)
            if file is None:
                return None
            with file:
                content: bytes = file.read()
            return content

    def folders(self, path: str) -> list[str]:
        """The names of the folders in one."""
        return [each.base_name for each in self._listed(path) if each.type is fs.FileType.Directory]

    def sizes(self, path: str) -> dict[str, int]:
        """The files in a folder by path, with their sizes in bytes."""
        found = self._listed(path)
        return {each.path: each.size for each in found if each.type is fs.FileType.File}

    def _listed(self, path: str) -> list[fs.FileInfo]:
        selector = fs.FileSelector(path, allow_not_found=True)
        with self._telling(path):
            listed: list[fs.FileInfo] = self._tried(lambda: self._files().get_file_info(selector))
            return listed

    def blocks(self, path: str) -> Iterator[bytes]:
        """The content of a file, from its beginning, a few megabytes at a time."""
        at, system, file = 0, self._files(), None
        try:
            while True:
                with self._telling(path):
                    if file is None or self._files() is not system:
                        # Credentials that are renewed meanwhile sign what is read from now on.
                        system, file = self._files(), self._there(path)
                    if file is None:
                        raise missing(self.at.url(path))
                    block = file.read_at(BLOCK_BYTES, at)
                if not block:
                    return
                at += len(block)
                yield block
        finally:
            if file is not None:
                file.close()

    def _files(self) -> fs.FileSystem:
        return self.bucket.filesystem() if self.bucket else _LOCAL

    def _there(self, path: str) -> pa.NativeFile | None:
        try:
            return self._tried(lambda: self._files().open_input_file(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _tried(self, ask: Callable[[], Answer]) -> Answer:
        """The answer; asked for again where the bucket turns out to be in another Region."""
        try:
            return ask()
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.bucket is None or not self.bucket.moved(error):
                raise
            return ask()

    @contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            url = self.at.url(path)
            if self.bucket is not None:
                raise self.bucket.problem(error, path, url) from error
            reason = error.strerror or type(error).__name__
            raise ConfigError(
                f"{url} cannot be read: {reason}.", "Check that this user may read it."
            ) from error


_LOCAL = fs.LocalFileSystem()


def missing(url: str) -> ExportRefused:
    """The error for a file of an export that is not there."""
    return ExportRefused(f"The export lacks the file {url}.", AGAIN)
