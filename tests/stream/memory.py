"""What the replica in memory holds, looked at and changed from outside."""

import json
from typing import Any

from connector.core.names import SERVICE
from tests.destinations.fake import FakeDestination

_DATABASES = ("main", "_connector")


def items(destination: FakeDestination, table: str, marked: bool) -> list[dict[str, str]]:
    """The JSON of each attribute, for the rows that are marked as deleted or for the others."""
    execute = destination.database.connection.execute
    names = [name for _, name, *_ in execute(f'PRAGMA table_info("{table}")')]
    # As expressions, they come as they are kept.
    chosen = ", ".join(f'+"{name}"' for name in names)
    rows = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in execute(f'SELECT {chosen} FROM "{table}"')
    ]
    return [_item(row) for row in rows if bool(row.get("_deleted")) == marked]


def _item(row: dict[str, Any]) -> dict[str, str]:
    kept = row.get("_rest")
    rest = {n: json.dumps(v) for n, v in json.loads(kept).items()} if kept else {}
    columns = {n: v.decode() for n, v in row.items() if n not in SERVICE}
    return {**rest, **columns}


def copied(destination: FakeDestination) -> dict[str, bytes]:
    """Everything that is there, as it is now."""
    connection = destination.database.connection
    return {name: connection.serialize(name=name) for name in _DATABASES}


def restored(destination: FakeDestination, copy: dict[str, bytes]) -> None:
    """Puts an earlier copy in the place of what is there."""
    for name, content in copy.items():
        destination.database.connection.deserialize(content, name=name)


def run(destination: FakeDestination, sql: str, *parameters: object) -> None:
    """Changes something by hand."""
    destination.database.connection.execute(sql, parameters)
