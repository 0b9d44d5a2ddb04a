"""Lines of Ion text, `$ion_1_0 {Item:{…}}`, as items in wire form."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from connector.core.texts import Malformed
from connector.errors import ConfigError, extra_missing
from connector.items.values import MAX_DEPTH
from connector.sources.exports.data_files.changes import BadLine, ExportChange, changes_of_lines
from connector.sources.exports.data_files.json_lines import filled

_MARKER = b"$ion_1_0"
_TEXT_BYTES = 32 * 1024**2
"""The longest text there may be: the library's own limit is below what an item can hold."""
_SETS = {f"$dynamodb_{tag}": tag for tag in ("SS", "NS", "BS")}

Value = dict[str, Any]


def missing() -> ConfigError:
    """The error for an export in Ion where nothing can read it."""
    return extra_missing("An export in Ion", "ion", "amazon-ion")


class IonLines:
    """Lines of Ion text. Raises ConfigError where the package for it is not installed."""

    def __init__(self) -> None:
        try:
            from amazon.ion import exceptions, simpleion
        except ImportError:
            raise missing() from None
        self._load = simpleion.loads
        self._error = exceptions.IonException
        model = simpleion.IonPyValueModel
        self._plain = model.MAY_BE_BARE | model.SYMBOL_AS_TEXT | model.STRUCT_AS_STD_DICT

    def count(self, text: bytes) -> int:
        """How many items whole lines hold, known without decoding them."""
        return len(_with_items(text))

    def items(self, text: bytes) -> Sequence[bytes]:
        """The items of whole lines. Raises BadLine where one has none.

        What in an item DynamoDB cannot hold keeps a type that is none, for whoever decodes it.
        """
        lines = _with_items(text)
        items = self._tried(b"\n".join(lines))
        if items is not None and len(items) == len(lines):
            return items
        return [self._of_line(line, number) for number, line in enumerate(lines, 1)]

    def changes(self, text: bytes) -> Sequence[ExportChange]:
        """The changes of whole lines. Raises BadLine where one has none."""
        return changes_of_lines(
            [self._change(line, number) for number, line in enumerate(_with_items(text), 1)]
        )

    def _change(self, line: bytes, number: int) -> bytes:
        """A line as it would be in DynamoDB JSON."""
        try:
            (value,) = self._values(line)
            return _change(value)
        except (self._error, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise BadLine(number) from None

    def _of_line(self, line: bytes, number: int) -> bytes:
        items = self._tried(line)
        if items is None or len(items) != 1:
            raise BadLine(number)
        return items[0]

    def _tried(self, text: bytes) -> list[bytes] | None:
        try:
            return [_item(value) for value in self._values(text)]
        except (self._error, ValueError, RecursionError):
            return None

    def _values(self, text: bytes) -> list[Any]:
        values: list[Any] = self._load(
            text,
            single_value=False,
            text_buffer_size_limit=_TEXT_BYTES,
            value_model=self._plain,
        )
        return values


def _with_items(text: bytes) -> list[bytes]:
    return [line for line in filled(text) if line.strip() != _MARKER]


def _item(value: Any) -> bytes:
    item = value["Item"] if isinstance(value, Mapping) and "Item" in value else None
    if not isinstance(item, Mapping):
        raise Malformed("a value that is no item")
    return msgspec.json.encode({name: _wire(each, 0) for name, each in item.items()})


def _change(value: Any) -> bytes:
    record = value.get("Record", value)
    written = {"WriteTimestampMicros": {"N": str(record["Metadata"]["WriteTimestampMicros"])}}
    images = {
        name: {each: _wire(content, 0) for each, content in record[name].items()}
        for name in ("Keys", "NewImage", "OldImage")
        if record.get(name) is not None
    }
    return msgspec.json.encode({"Metadata": written, **images})


def _wire(value: Any, depth: int) -> Value:
    """A value in DynamoDB's wire form. Raises Malformed for one that is nested too deeply."""
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        tag, content = scalar
        return {tag: content(value)}
    if depth > MAX_DEPTH:
        raise Malformed("a value nested too deeply")
    if isinstance(value, Mapping):
        return {"M": {name: _wire(each, depth + 1) for name, each in value.items()}}
    if isinstance(value, list):
        return _listed(value, depth)
    # Without a type that DynamoDB has, it is refused by its item's decoder.
    return {"NULL": True} if type(value).__name__ == "IonPyNull" else {type(value).__name__: None}


def _listed(value: list[Any], depth: int) -> Value:
    annotations = [each.text for each in getattr(value, "ion_annotations", ())]
    if not annotations:
        return {"L": [_wire(each, depth + 1) for each in value]}
    tag = _SETS.get(annotations[0], annotations[0])
    # A member of another type than the set's is left to be refused as what it is.
    members = [_wire(each, depth + 1) for each in value]
    return {tag: [each.get(tag[:1], each) for each in members]}


_SCALARS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    str: ("S", str),
    bool: ("BOOL", bool),
    Decimal: ("N", str),
    int: ("N", str),
    bytes: ("B", lambda value: b64encode(value).decode()),
    type(None): ("NULL", lambda _: True),
}
