"""Scanned rows on disk: for each segment a chain of Arrow IPC files.

A link holds its `since` and `until` tokens in the schema's metadata and is named by a hash of its
`since`. A rival run that scans the same stretch replaces a link by an equally valid one of the
same name. So the chain from the beginning is always valid, and a scan resumes by following it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from pyarrow import ipc

from connector.core.cursors import Cursor, Quarantined
from connector.core.needs import Need, tried
from connector.core.rows import packed_in, without_packed
from connector.core.schema import Type
from connector.errors import ConfigError, ConnectorError, StateRefused
from connector.failpoints import failpoint
from connector.spool.stores import LocalStore, Store, open_store

_METADATA = b"connector.link"
_PROBE_BYTES = 64 * 1024
ROWS_PER_BATCH = 16_384


@dataclass(frozen=True)
class ArrowLink:
    """One file of a chain; its rows are read on request."""

    store: Store
    name: str
    rows_schema: pa.Schema
    since: str | None
    until: Cursor
    count: int
    quarantined: Sequence[Quarantined]

    def packed(self) -> Mapping[str, Type] | None:
        """The types of the attributes in the rows' `rest`; None if version 0.1.0 spooled them."""
        with self._opened() as file:
            return packed_in(ipc.open_file(file).schema)

    def rows(self) -> pa.Table:
        """The rows of this link."""
        with self._opened() as file:
            return ipc.open_file(file).read_all()

    def _opened(self) -> pa.NativeFile:
        file = self.store.open(self.name)
        if file is None:
            raise StateRefused(
                f"The spool has lost its file {self.name}.", "Run `connector snapshot` again."
            )
        return file


class ArrowSpool:
    """The spool of one plan of one table."""

    def __init__(self, location: str, table: str, plan_id: str) -> None:
        self._store = open_store(location, f"{_folder(table)}/{plan_id}")

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
        """The end of a segment's chain, from which its scan resumes."""
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
            rows_schema=without_packed(schema),
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


def check(location: str) -> Need:
    """Writes a file as a scan does, reads it and removes it; leaves no new folder behind.

    If the folder does not exist yet, the nearest existing one above it is tried.
    """
    return tried("spool", lambda: _checked(location))


def _checked(location: str) -> str:
    folder = f".connector-check-{uuid4().hex}"
    if "://" in location:
        _try_store(open_store(location, folder))
        return f"{location} can be written"
    there = _nearest(Path(location))
    _try_store(LocalStore(there / folder, location))
    free = shutil.disk_usage(there).free
    new = "" if there == Path(location) else ", which will be created"
    return f"{location}{new}; {free / 1e9:,.1f} GB free"


def _try_store(store: Store) -> None:
    name = "probe"
    try:
        store.write(name, pa.py_buffer(bytes(_PROBE_BYTES)))
        file = store.open(name)
    except ConnectorError:
        # Removing may fail as well, but the first error is the one to fix.
        with suppress(ConnectorError):
            store.drop()
        raise
    if file is not None:
        file.close()
    store.drop()
    if file is None:
        raise ConfigError(
            "A file that was written to the spool cannot be read back.",
            "Set `spool:` to a place where files can be read as soon as they are written.",
        )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest existing one above it."""
    for each in (folder, *folder.parents):
        try:
            each.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return each
        return each
    return folder
