"""The map from attributes to columns, as rows of the state."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connector.core.schema import parse_type
from connector.core.state import Column
from connector.destinations.state.header import unreadable


def columns_of_rows(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Column], dict[str, Column]]:
    """The columns in use and the retired ones, by attribute."""
    found: tuple[dict[str, Column], dict[str, Column]] = ({}, {})
    try:
        for row in rows:
            column = Column(row["column_name"], parse_type(row["type"]))
            found[bool(row.get("retired"))][_read(row["attribute"])] = column
    except (ValueError, AttributeError) as error:
        raise unreadable("a column's type is damaged or unknown") from error
    return found


def column_rows(
    table: str, columns: Mapping[str, Column], retired: Mapping[str, Column]
) -> Iterator[dict[str, Any]]:
    """The rows of the columns in use and the retired ones."""
    every = {**columns, **retired}
    for position, (attribute, column) in enumerate(every.items()):
        yield {
            "table_name": table,
            "attribute": _spelled(attribute),
            "column_name": column.name,
            "type": column.type.text(),
            "position": position,
            "retired": attribute in retired,
        }


def _spelled(attribute: str) -> str:
    """The name with NUL escaped, since not every database's text can contain it."""
    return attribute.replace("\\", "\\\\").replace("\0", "\\0")


def _read(text: str) -> str:
    """The name that `_spelled` escaped."""
    return re.sub(r"\\(.)", lambda found: "\0" if found[1] == "0" else found[1], text)
