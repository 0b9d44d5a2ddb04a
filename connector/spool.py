"""Scanned rows on disk: for each segment a chain of Arrow IPC files.

A link holds its `since` and `until` tokens in the schema's metadata and is named by a hash of its
`since`. A rival that scans the same stretch rewrites the same name, with a link that is as good;
so the chain from the beginning is always valid, and following it is how a scan resumes.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs, ipc

from connector.core.cursors import Cursor, Quarantined
from connector.errors import ConfigError, SpoolFull, StateRefused
from connector.failpoints import failpoint

_METADATA = b"connector.link"
_FULL = (errno.ENOSPC, errno.EDQUOT)
ROWS_PER_BATCH = 16_384


class _Store(Protocol):
    """A folder of files that appear whole or not at all."""

    def write(self, name: str, content: pa.Buffer) -> None: ...

    def open(self, name: str) -> pa.NativeFile | None: ...

    def drop(self) -> None: ...


class _LocalStore:
    def __init__(self, root: Path) -> None:
        self._root = root

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
            temporary.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise SpoolFull(
                    f"There is no room left in the spool {self._root}.",
                    "Free some space or set `spool:` to another folder, and run the same command "
                    "again: it goes on where it stopped.",
                ) from error
            raise ConfigError(
                f"The spool {self._root} cannot be written: {error.strerror}.",
                "Set `spool:` to a folder this program may write.",
            ) from error

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
        return pa.memory_map(str(path)) if path.exists() else None

    def drop(self) -> None:
        # A worker that was given up may still be writing here; its files harm nobody.
        shutil.rmtree(self._root, ignore_errors=True)


class _RemoteStore:
    """An object store, where a file appears when its upload is complete."""

    def __init__(self, filesystem: fs.FileSystem, root: str) -> None:
        self._filesystem = filesystem
        self._root = root

    def write(self, name: str, content: pa.Buffer) -> None:
        with self._filesystem.open_output_stream(f"{self._root}/{name}") as stream:
            stream.write(content)

    def open(self, name: str) -> pa.NativeFile | None:
        path = f"{self._root}/{name}"
        if self._filesystem.get_file_info(path).type is not fs.FileType.File:
            return None
        return self._filesystem.open_input_file(path)

    def drop(self) -> None:
        if self._filesystem.get_file_info(self._root).type is fs.FileType.Directory:
            self._filesystem.delete_dir(self._root)


@dataclass(frozen=True)
class ArrowLink:
    """One file of a chain; its rows are read when asked for."""

    store: _Store
    name: str
    rows_schema: pa.Schema
    since: str | None
    until: Cursor
    count: int
    quarantined: Sequence[Quarantined]

    def rows(self) -> pa.Table:
        """The rows of this link."""
        file = self.store.open(self.name)
        if file is None:
            raise StateRefused(
                f"The spool has lost its file {self.name}.", "Run `connector snapshot` again."
            )
        with file:
            return ipc.open_file(file).read_all()


class ArrowSpool:
    """The spool of one plan of one table."""

    def __init__(self, location: str, table: str, plan_id: str) -> None:
        self._store = _store(location, f"{_folder(table)}/{plan_id}")

    def append(
        self,
        partition: str,
        since: str | None,
        until: Cursor,
        rows: pa.Table,
        quarantined: Sequence[Quarantined],
    ) -> None:
        """Adds the link from the token `since` to `until`; durable when this returns."""
        about = {
            "since": since,
            "until": until.token,
            "done": until.done,
            "count": len(rows),
            "quarantined": [asdict(record) for record in quarantined],
        }
        metadata = {**(rows.schema.metadata or {}), _METADATA: json.dumps(about).encode()}
        sink = pa.BufferOutputStream()
        options = ipc.IpcWriteOptions(compression="lz4")
        with ipc.new_file(sink, rows.schema.with_metadata(metadata), options=options) as writer:
            writer.write_table(rows, max_chunksize=ROWS_PER_BATCH)
        self._store.write(_link_name(partition, since), sink.getvalue())
        failpoint("spool.after_rename")

    def position(self, partition: str) -> Cursor:
        """The end of a segment's chain: where its scan goes on."""
        position = Cursor()
        for link in self.links(partition):
            position = link.until
        return position

    def links(self, partition: str) -> Iterator[ArrowLink]:
        """The links of a segment, following the chain from its beginning."""
        since: str | None = None
        while True:
            link = self._link(partition, since)
            if link is None:
                return
            yield link
            if link.until.done:
                return
            since = link.until.token

    def _link(self, partition: str, since: str | None) -> ArrowLink | None:
        name = _link_name(partition, since)
        file = self._store.open(name)
        if file is None:
            return None
        with file:
            schema = ipc.open_file(file).schema
        about = json.loads(schema.metadata[_METADATA])
        if about["since"] != since:
            raise StateRefused(f"The spool's file {name} belongs to another stretch of the scan.")
        return ArrowLink(
            store=self._store,
            name=name,
            rows_schema=schema,
            since=since,
            until=Cursor(about["until"], about["done"]),
            count=about["count"],
            quarantined=[Quarantined(**record) for record in about["quarantined"]],
        )

    def drop(self) -> None:
        """Removes every link of this plan."""
        self._store.drop()


def _link_name(partition: str, since: str | None) -> str:
    chain = sha256(json.dumps([partition, since]).encode()).hexdigest()[:32]
    return f"{partition.replace('/', '-')}/{chain}.arrow"


def _folder(table: str) -> str:
    """A folder name for a table's name or ARN."""
    return table.rpartition("/")[2] if table.startswith("arn:") else table


def _store(location: str, folder: str) -> _Store:
    if "://" not in location:
        return _LocalStore(Path(location) / folder)
    try:
        filesystem, root = fs.FileSystem.from_uri(location)
    except (pa.ArrowException, ValueError) as error:
        raise ConfigError(
            f"The spool {location} cannot be opened.", "Use a folder or an s3:// location."
        ) from error
    return _RemoteStore(filesystem, f"{root.rstrip('/')}/{folder}")
