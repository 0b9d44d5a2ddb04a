"""What a value is in a declared type, in plain Python: it shares nothing with the casts in Arrow.

Values of a column are plain JSON here: a time is its text in UTC, a number has its exact digits.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from msgspec import Raw

from connector.core.contracts.contract import Contract, Declared, Format
from connector.core.schema import Kind, Type
from connector.core.texts import Malformed, canonical, canonical_decimal, moment_text
from connector.items import values

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST = 45
"""No number that fits a type has more characters."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = {Format.EPOCH_S: 1_000_000, Format.EPOCH_MS: 1_000, Format.EPOCH_US: 1}


class Misfit(ValueError):
    """A value that does not fit a declared type."""


def members_of(
    contract: Contract, row: Mapping[str, Any], keys: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What columns hold of a row in wire form, and what does not fit, as plain JSON by attribute.

    Raises Malformed.
    """
    fits: dict[str, Any] = {}
    misfits: dict[str, Any] = {}
    types = contract.named
    for name, value in row.items():
        plain = values.plain(value)
        entry = types.get(name)
        if entry is None or entry.type is None or name in keys or plain is None:
            fits[name] = plain
            continue
        ((tag, content),) = value.items()
        try:
            fits[name] = _CASTS[entry.type.kind](entry, tag, content)
        except Misfit:
            misfits[name] = plain
    return fits, misfits


def is_held(type_: Type, plain: Any) -> bool:
    """Whether a column of a declared type can have a value, which is given as plain JSON."""
    if type_.kind is Kind.JSON:
        return True
    tag = "BOOL" if isinstance(plain, bool) else "N" if isinstance(plain, Raw) else "S"
    if not isinstance(plain, bool | Raw | str):
        return False
    content = bytes(plain).decode() if isinstance(plain, Raw) else plain
    if type_.kind is Kind.BINARY and tag == "S":
        tag = "B"
    try:
        return bool(_CASTS[type_.kind](Declared(type_, Format.ISO8601), tag, content) == plain)
    except (Misfit, Malformed):
        return False


def _string(entry: Declared, tag: str, content: Any) -> Any:
    if tag == "S":
        return content
    if tag == "N":
        return canonical(content)
    if tag == "BOOL":
        return "true" if content else "false"
    raise Misfit


def _number(tag: str, content: Any) -> Decimal:
    if tag == "N":
        return Decimal(canonical(content))
    if tag == "S" and _NUMBER.fullmatch(content):
        text = content.rstrip("0").rstrip(".") if "." in content else content
        if len(text) <= _LONGEST:
            return Decimal(text)
    raise Misfit


def _integer(entry: Declared, tag: str, content: Any) -> Any:
    number = _number(tag, content)
    if number != number.to_integral_value() or not -(2**63) <= number < 2**63:
        raise Misfit
    return Raw(str(int(number)).encode())


def _decimal(entry: Declared, tag: str, content: Any) -> Any:
    number, type_ = _number(tag, content), entry.type
    assert type_ is not None
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    unit = 10 ** max(0, -exponent)
    numerator = int("".join(map(str, digits))) * 10 ** max(0, exponent)
    scaled, left = divmod(numerator * 10**type_.scale, unit)
    if left or scaled >= 10 ** (type_.whole + type_.scale):
        raise Misfit
    try:
        return Raw(canonical_decimal(number).encode())
    except Malformed as error:
        raise Misfit from error


def _boolean(entry: Declared, tag: str, content: Any) -> Any:
    if tag == "BOOL":
        return content
    if tag == "S" and content in ("true", "false"):
        return content == "true"
    raise Misfit


def _binary(entry: Declared, tag: str, content: Any) -> Any:
    if tag != "B":
        raise Misfit
    return b64encode(values.binary(content)).decode()


def _json(entry: Declared, tag: str, content: Any) -> Any:
    return values.plain_content(tag, content)


def _timestamp(entry: Declared, tag: str, content: Any) -> Any:
    if entry.format in _MICROS:
        micros = Fraction(_number(tag, content)) * _MICROS[entry.format]
        if micros.denominator != 1 or abs(micros) > 10**18:
            raise Misfit
        return _text(lambda: _EPOCH + timedelta(microseconds=int(micros)))
    found = _TIME.fullmatch(content) if tag == "S" else None
    if found is None:
        raise Misfit
    year, month, day, hour, minute = map(int, found.group(1, 2, 3, 4, 5))
    fraction = (found[7] or "").rstrip("0")
    if len(fraction) > 6 or int(found[9] or 0) > 23 or int(found[10] or 0) > 59:
        raise Misfit
    offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    zone = timezone(-offset if found[8] == "-" else offset)
    rest = (int(found[6] or 0), int(fraction.ljust(6, "0")))
    return _text(lambda: datetime(year, month, day, hour, minute, *rest, tzinfo=zone))


def _text(made: Callable[[], datetime]) -> str:
    try:
        return moment_text(made())
    except (ValueError, OverflowError) as error:
        raise Misfit from error


def _date(entry: Declared, tag: str, content: Any) -> Any:
    if tag != "S" or not _DATE.fullmatch(content):
        raise Misfit
    try:
        return date.fromisoformat(content).isoformat()
    except ValueError as error:
        raise Misfit from error


def _uuid(entry: Declared, tag: str, content: Any) -> Any:
    if tag != "S" or not _UUID.fullmatch(content):
        raise Misfit
    return str(UUID(content))


_CASTS: dict[Kind, Callable[[Declared, str, Any], Any]] = {
    Kind.STRING: _string,
    Kind.INTEGER: _integer,
    Kind.FIXED: _decimal,
    Kind.BOOLEAN: _boolean,
    Kind.BINARY: _binary,
    Kind.JSON: _json,
    Kind.TIMESTAMP: _timestamp,
    Kind.DATE: _date,
    Kind.UUID: _uuid,
}
