"""The canonical text of numbers and of JSON: equal values have equal texts."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc


class Malformed(ValueError):
    """A value that DynamoDB cannot have stored, or that no column can hold; it quotes no data."""


# Up to 38 significant digits between 1E-130 and 9.99E+125: "Naming rules and data types" in the
# DynamoDB developer guide.
MAX_DIGITS = 38
MAX_EXPONENT = 125
MIN_EXPONENT = -130

# The members of structs are sorted already.
_encoder = msgspec.json.Encoder(order="deterministic")

_CANONICAL_TEXT = re.compile(r"-?(?:0|[1-9][0-9]{0,37})(?:\.[0-9]*[1-9])?")
_NUMBER_TEXT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,9})?")


def canonical(text: object) -> str:
    """The canonical text of a number: no exponent, no superfluous zeros, no negative zero.

    Raises Malformed for anything DynamoDB would not store.
    """
    if not isinstance(text, str):
        raise Malformed("a number that is not sent as a string")
    if len(text) <= MAX_DIGITS and _CANONICAL_TEXT.fullmatch(text) and text != "-0":
        return text
    if len(text) > 512 or not _NUMBER_TEXT.fullmatch(text):
        raise Malformed("a number that is not a number")
    try:
        return canonical_decimal(Decimal(text))
    except InvalidOperation as error:
        raise Malformed("a number that is not a number") from error


def canonical_decimal(value: Decimal) -> str:
    """Like `canonical`, for a number from a database or Arrow."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Malformed("a number that is not finite")
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    exponent += len(text) - len(stripped)
    if not stripped:
        return "0"
    if len(stripped) > MAX_DIGITS:
        raise Malformed(f"a number of more than {MAX_DIGITS} digits")
    if not MIN_EXPONENT <= exponent + len(stripped) - 1 <= MAX_EXPONENT:
        raise Malformed("a number out of DynamoDB's range")
    return ("-" if sign else "") + _point(stripped, exponent)


def _point(digits: str, exponent: int) -> str:
    if exponent >= 0:
        return digits + "0" * exponent
    whole = len(digits) + exponent
    if whole > 0:
        return f"{digits[:whole]}.{digits[whole:]}"
    return "0." + "0" * -whole + digits


def json_text(value: object) -> str:
    """JSON text with sorted member names, so that equal values have equal text."""
    return _encoder.encode(value).decode()


def json_texts(plain: Sequence[Any]) -> pa.Array:
    """Like `json_text`, for many values at once, as a string array."""
    # JSON text has no line break, so the values can be split at line ends; the last line is empty.
    lines = pc.split_pattern(pa.scalar(_encoder.encode_lines(plain).decode()), "\n").values
    return lines[: len(plain)]


def moment_text(at: datetime) -> str:
    """A time as JSON has it: in UTC, with microseconds."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def plain_decimal(value: Decimal) -> msgspec.Raw:
    """A decimal as a JSON number with its canonical digits."""
    return msgspec.Raw(canonical_decimal(value).encode())
