"""What an item is, and what a table's row is, in plain Python of its own: no code is shared.

A canonical value is a pair of a kind and a Python value, since True == 1 and "1" is not 1. In a
JSON column binary is base64 text and a set is a sorted list, so that is their canonical form.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from adbc_driver_postgresql import dbapi

from tests.rigs import duckdb_file

Canonical = dict[str, Any]


def canonical_item(item: Mapping[str, Any]) -> Canonical:
    """An item in wire form as what its row must mean: NULL and absent are the same there."""
    return {
        name: _of_wire(value)
        for name, value in item.items()
        if value != {"NULL": True} and not name.startswith("aws:rep:")
    }


def _of_wire(value: Mapping[str, Any]) -> Any:
    ((tag, content),) = value.items()
    match tag:
        case "NULL":
            return ("null", None)
        case "N":
            return _number(Decimal(content))
        case "M":
            return ("map", {name: _of_wire(inner) for name, inner in content.items()})
        case "L":
            return ("list", [_of_wire(inner) for inner in content])
        case "SS":
            return ("list", [("text", each) for each in sorted(content, key=str.encode)])
        case "NS":
            return ("list", [_number(each) for each in sorted(map(Decimal, content))])
        case "BS":
            ordered = sorted(map(b64decode, content))
            return ("list", [("text", b64encode(each).decode()) for each in ordered])
    return ("boolean" if tag == "BOOL" else "text", content)


def _number(value: Decimal) -> Any:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    if not stripped:
        return ("number", 0, "0", 0)
    return ("number", sign, stripped, exponent + len(text) - len(stripped))


def canonical_rows(file: Path, table: str, keys: Iterable[str]) -> dict[tuple[Any, ...], Canonical]:
    """The rows of a table by their key, read through SQL and the state's own list of columns."""
    with duckdb_file.opened(file, read_only=True) as connection:
        columns = connection.execute(
            "SELECT attribute, column_name FROM _connector.columns WHERE table_name = $1", [table]
        ).fetchall()
        answer = connection.execute(f'SELECT * EXCLUDE ("_changed_at") FROM "{table}"')
        described = answer.description or []
        types = {name: str(kind) for name, kind, *_ in described}
        rows = [dict(zip(types, row, strict=True)) for row in answer.fetchall()]
    return _by_key(rows, types, columns, keys)


def canonical_postgres_rows(
    url: str, table: str, keys: Iterable[str]
) -> dict[tuple[Any, ...], Canonical]:
    """As `canonical_rows`, from a Postgres database."""
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT attribute, column_name FROM _connector.columns WHERE table_name = $1", [table]
        )
        columns = cursor.fetchall()
        cursor.execute(f'SELECT * FROM "{table}"')
        answer = cursor.fetch_arrow_table()
    types = {field.name: _postgres_type(str(field.type)) for field in answer.schema}
    return _by_key(answer.to_pylist(), types, columns, keys)


def _postgres_type(arrow: str) -> str:
    if "arrow.json" in arrow:
        return "JSON"
    return "NUMERIC" if "type_name=numeric" in arrow else arrow


def _spelled_out(text: str) -> str:
    """An attribute's name as the state spells it: it escapes NUL and the backslash itself."""
    return "\\".join(part.replace("\\0", "\0") for part in text.split("\\\\"))


def _by_key(
    rows: Iterable[dict[str, Any]],
    types: Mapping[str, str],
    columns: Iterable[tuple[str, str]],
    keys: Iterable[str],
) -> dict[tuple[Any, ...], Canonical]:
    names = {_spelled_out(attribute): column for attribute, column in columns}
    found: dict[tuple[Any, ...], Canonical] = {}
    for row in rows:
        item = {
            attribute: _of_cell(row[column], types[column])
            for attribute, column in names.items()
            if row[column] is not None
        }
        if row.get("_rest") is not None:
            kind, members = _of_json(row["_rest"])
            assert kind == "map"
            assert not item.keys() & members.keys()
            item |= members
        key = tuple(item[name] for name in keys)
        assert key not in found, f"the table has {key} twice"
        found[key] = item
    return found


def _of_cell(cell: Any, type_: str) -> Any:
    if type_ == "JSON":
        return _of_json(cell)
    if type_ == "NUMERIC":
        return _number(Decimal(cell))
    match cell:
        case bool():
            return ("boolean", cell)
        case int():
            return _number(Decimal(cell))
        case Decimal():
            return _number(cell)
        case bytes():
            return ("text", b64encode(cell).decode())
    assert isinstance(cell, str)
    return ("text", cell)


def _of_json(text: str) -> Any:
    return _of_plain(json.loads(text, parse_int=Decimal, parse_float=Decimal))


def _of_plain(value: Any) -> Any:
    match value:
        case None:
            return ("null", None)
        case bool():
            return ("boolean", value)
        case Decimal():
            return _number(value)
        case str():
            return ("text", value)
        case list():
            return ("list", [_of_plain(inner) for inner in value])
    return ("map", {name: _of_plain(inner) for name, inner in value.items()})
