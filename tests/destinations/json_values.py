"""Values as JSON, for a database that has no exact types of its own."""

import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from connector.core.rows import convert
from connector.core.schema import JSON, parse_type

# The state's own columns have types.
sqlite3.register_adapter(datetime, datetime.isoformat)
sqlite3.register_converter("TIMESTAMP", lambda text: datetime.fromisoformat(text.decode()))
sqlite3.register_converter("BOOLEAN", lambda text: text == b"1")


def batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[pa.RecordBatch]:
    """Rows as Arrow."""
    if columns := list(map(pa.array, zip(*rows, strict=True))):
        yield pa.record_batch(columns, list(map(str, range(len(columns)))))


def tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Rows of Arrow as they are kept."""
    return zip(*map(_kept, rows.schema, rows.columns), strict=True)


def _kept(field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    """Values as they are kept: JSON as bytes, which SQLite takes for no number."""
    if b"type" in (field.metadata or {}):
        column = convert(column, parse_type(field.metadata[b"type"].decode()), JSON).cast(
            pa.string()
        )
        return [text and text.encode() for text in column.to_pylist()]
    return column.cast(pa.int64() if pa.types.is_timestamp(field.type) else field.type).to_pylist()


def plain(value: bytes | str | None, kind: str) -> object:
    """A value that was kept, as Arrow reads it."""
    text = value.decode() if isinstance(value, bytes) else value
    read = json.loads(text) if text and kind in ("string", "binary") else text
    return b64decode(read) if read and kind == "binary" else read
