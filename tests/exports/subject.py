"""An export read to its end, page by page, as a scan would."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from connector.core.keys import KeyAttribute
from connector.core.rows import combine
from connector.core.state import Identity
from connector.items.encoder import BadItem, Encoder
from connector.sources.exports.data_files import checking
from connector.sources.exports.data_files.formats import format_of
from connector.sources.exports.export import open_export
from connector.sources.exports.snapshot import ExportSnapshot
from connector.sources.exports.storage import Storage, place
from tests.rigs.exports import Export
from tests.rigs.scripted import Table


def identity(table: Table) -> Identity:
    """What a plan pins of the table."""
    keys = tuple(KeyAttribute(key.name, key.type) for key in table.schema.keys)
    return Identity(table.arn, table.id, table.stream.arn, table.stream.view, keys)


def opened(export: Export, table: Table) -> ExportSnapshot:
    """The export, once all of it is checked."""
    storage = Storage(place(export.url))
    found = open_export(storage, storage.at.path, identity(table))
    checking.check_files(storage, found, identity(table).keys, format_of(found.format))
    return ExportSnapshot(storage, found)


def encoder(table: Table, **options: Any) -> Encoder:
    """An encoder for the table's items."""
    return Encoder(identity(table).keys, **options)


def read(
    snapshot: ExportSnapshot, table: Table, segments: int = 1, again: Sequence[int] = ()
) -> tuple[list[dict[str, Any]], list[BadItem], set[datetime]]:
    """Every row by its columns, what is bad, and the times; pages `again` are by a new reader."""
    encode = encoder(table).encode_page
    tables: list[pa.Table] = []
    bad: list[BadItem] = []
    times: set[datetime] = set()
    for segment in range(segments):
        token: str | None = None
        page = 0
        while True:
            (encoded, token), at = snapshot.page(segment, segments, token, encode)
            tables.append(encoded.rows)
            bad += encoded.bad
            times.add(at)
            page += 1
            if token is None:
                break
            if page in again:
                snapshot = ExportSnapshot(snapshot._storage, snapshot._export)
    return rows_of(combine(tables)), bad, times


def rows_of(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows that can be compared whatever their order and their columns'."""
    found = [
        {name: value for name, value in row.items() if value is not None}
        for row in rows.to_pylist()
    ]
    return sorted(found, key=lambda row: str(row["item.id"]))


def encoded(table: Table) -> list[dict[str, Any]]:
    """The rows that a scan of the table would make."""
    import json

    items = [json.dumps(item).encode() for item in table.items()]
    return rows_of(encoder(table).encode(items).rows)


def moved(export: Export, root: Path) -> Export:
    """The same export in another folder."""
    folder = root / export.folder.relative_to(export.root)
    return replace(export, root=root, folder=folder)
