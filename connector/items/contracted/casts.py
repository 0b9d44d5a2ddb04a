"""Texts of one kind → values of a declared type, in Arrow; null where one does not fit exactly."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.contracts.contract import Declared, Format
from connector.core.schema import INTEGER, TIMESTAMP, Kind, Type

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICRO
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICRO
"""The years 1 to 9999, which every database and every program that reads it can hold."""

_DIGITS = {Format.EPOCH_S: 6, Format.EPOCH_MS: 3, Format.EPOCH_US: 0}
"""How many digits after the point a number of each format can have: whole microseconds."""

_SURELY_INT64 = r"^-?[0-9]{1,18}$"
_PERHAPS_INT64 = r"^-?[0-9]{19}$"
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DATE = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_SOME_DAYS = "^....-(?:02-(?:29|30|31)|(?:04|06|09|11)-31)"
"""Days that their month may not have; in few texts, so that these can be examined singly."""
_MINUTES = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_USUAL = rf"^{_DATE}T{_MINUTES}:[0-5][0-9](?:\.[0-9]{{1,6}})?Z$"
_MOMENT = (
    f"^(?P<day>{_DATE})[Tt ](?P<minutes>{_MINUTES})"
    "(?::(?P<seconds>[0-5][0-9])(?:[.,](?P<fraction>[0-9]+))?)?"
    "(?:[Zz]|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3])(?::?(?P<more>[0-5][0-9]))?)$"
)
_UUID = "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"


def of_texts(entry: Declared, texts: pa.Array) -> pa.Array:
    """What strings are in a declared type."""
    type_ = entry.type
    assert type_ is not None
    if type_.kind in _OF_NUMBERS or (type_ == TIMESTAMP and entry.format in _DIGITS):
        return of_numbers(entry, _numbers(texts))
    cast = _OF_TEXTS.get(type_.kind)
    return cast(texts) if cast else pa.nulls(len(texts), type_.arrow)


def of_integers(entry: Declared, integers: pa.Array) -> pa.Array:
    """What numbers without a fraction that fit 64 bits are in a declared type."""
    if entry.type == INTEGER:
        return integers
    if entry.type == TIMESTAMP and entry.format in _DIGITS:
        unit = 10 ** _DIGITS[entry.format]
        fits = pc.and_(
            pc.greater_equal(integers, -(-_FIRST // unit)), pc.less_equal(integers, _LAST // unit)
        )
        return pc.multiply(_only(integers, fits), unit).cast(TIMESTAMP.arrow)
    return of_numbers(entry, integers.cast(pa.string()))


def of_numbers(entry: Declared, texts: pa.Array) -> pa.Array:
    """What numbers, given in their canonical digits, are in a declared type."""
    type_ = entry.type
    assert type_ is not None
    if type_ == TIMESTAMP and entry.format in _DIGITS:
        return _since_1970(texts, _DIGITS[entry.format])
    cast = _OF_NUMBERS.get(type_.kind)
    if type_.kind is Kind.STRING:
        return texts
    return cast(texts, type_) if cast else pa.nulls(len(texts), type_.arrow)


def of_booleans(entry: Declared, values: pa.Array) -> pa.Array:
    """What booleans are in a declared type."""
    assert entry.type is not None
    if entry.type.kind in (Kind.BOOLEAN, Kind.STRING):
        return values.cast(entry.type.arrow)
    return pa.nulls(len(values), entry.type.arrow)


def of_binaries(entry: Declared, values: pa.Array) -> pa.Array:
    """What binaries are in a declared type."""
    assert entry.type is not None
    return values if entry.type.kind is Kind.BINARY else pa.nulls(len(values), entry.type.arrow)


def _only(texts: pa.Array, fits: pa.Array) -> pa.Array:
    """The texts that fit; null for any other."""
    return pc.if_else(fits, texts, pa.scalar(None, texts.type))


def _numbers(texts: pa.Array) -> pa.Array:
    """Strings that are numbers in plain digits, in their canonical digits."""
    texts = _only(texts, pc.match_substring_regex(texts, _NUMBER))
    texts = pc.replace_substring_regex(texts, r"\.0+$", "")
    texts = pc.replace_substring_regex(texts, r"(\.[0-9]*[1-9])0+$", r"\1")
    return pc.if_else(pc.equal(texts, "-0"), "0", texts)


def _whole(texts: pa.Array) -> pa.Array:
    """The digits of numbers before the point, with the sign."""
    point = pc.find_substring(texts, ".")
    return pc.if_else(pc.less(point, 0), texts, pc.replace_substring_regex(texts, r"\..*", ""))


def _fraction(texts: pa.Array) -> pa.Array:
    """The digits of numbers after the point."""
    return pc.replace_substring_regex(texts, r"^[^.]*\.?", "")


def _integers(texts: pa.Array, type_: Type) -> pa.Array:
    fits = pc.match_substring_regex(texts, _SURELY_INT64)
    long = pc.match_substring_regex(texts, _PERHAPS_INT64)
    if pc.any(long).as_py():
        held = [
            t is not None and -(2**63) <= int(t) < 2**63 for t in _only(texts, long).to_pylist()
        ]
        fits = pc.or_(fits, pa.array(held, pa.bool_()))
    return _only(texts, fits).cast(pa.int64())


def _decimals(texts: pa.Array, type_: Type) -> pa.Array:
    point, length = pc.find_substring(texts, "."), pc.binary_length(texts)
    whole = pc.if_else(pc.less(point, 0), length, point)
    scale = pc.subtract(pc.subtract(length, whole), 1)
    digits = pc.subtract(whole, pc.starts_with(texts, "-").cast(pa.int32()))
    fits = pc.and_(pc.less_equal(digits, type_.whole), pc.less_equal(scale, type_.scale))
    if not type_.whole:
        # The zero before the point is no digit of its own.
        small = pc.match_substring_regex(texts, r"^-?0(\.|$)")
        fits = pc.and_(small, pc.less_equal(scale, type_.scale))
    return _only(texts, fits).cast(type_.arrow)


def _since_1970(texts: pa.Array, digits: int) -> pa.Array:
    """Times that are given as numbers with so many digits after the point in microseconds."""
    whole, fraction = _whole(texts), _fraction(texts)
    # Whatever is longer is out of range, and would be no integer.
    short = pc.less_equal(pc.binary_length(pc.utf8_ltrim(whole, "-")), 18 - digits)
    fits = pc.and_(short, pc.less_equal(pc.binary_length(fraction), digits))
    if digits:
        fraction = pc.utf8_rpad(fraction, digits, "0")
        whole = pc.binary_join_element_wise(whole, fraction, "")
    return _moments(_only(whole, fits).cast(pa.int64()))


def _moments(micros: pa.Array) -> pa.Array:
    """Times in microseconds since 1970 that are in range."""
    fits = pc.and_(pc.greater_equal(micros, _FIRST), pc.less_equal(micros, _LAST))
    return _only(micros, fits).cast(TIMESTAMP.arrow)


def _timestamps(texts: pa.Array) -> pa.Array:
    usual = pc.match_substring_regex(texts, _USUAL)
    if pc.all(usual).as_py() is not False:
        return _as_usual(texts)
    return pc.coalesce(_as_usual(_only(texts, usual)), _others(_only(texts, pc.invert(usual))))


def _as_usual(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(TIMESTAMP.arrow)
    except pa.ArrowInvalid:
        # One of them has a day that there is not.
        return _real_days(texts).cast(TIMESTAMP.arrow)


def _others(texts: pa.Array) -> pa.Array:
    """Times in any spelling that says which moment they are."""
    parts = pc.extract_regex(texts, _MOMENT)
    day, minutes, seconds, fraction, sign, hours, more = (
        pc.struct_field(parts, name)
        for name in ("day", "minutes", "seconds", "fraction", "sign", "hours", "more")
    )
    seconds = pc.if_else(pc.equal(seconds, ""), "00", seconds)
    fraction = pc.utf8_rtrim(fraction, "0")
    fits = pc.less_equal(pc.binary_length(fraction), 6)
    clock = pc.binary_join_element_wise(minutes, seconds, ":")
    text = pc.binary_join_element_wise(day, clock, "T")
    text = _real_days(_only(text, fits))
    micros = text.cast(pa.timestamp("us")).cast(pa.int64())
    micros = pc.add(micros, pc.utf8_rpad(fraction, 6, "0").cast(pa.int64()))
    offset = pc.add(pc.multiply(_int(hours), 60), _int(more))
    offset = pc.multiply(offset, pc.if_else(pc.equal(sign, "-"), -60_000_000, 60_000_000))
    return _moments(pc.subtract(micros, offset))


def _int(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64())


def _real_days(texts: pa.Array) -> pa.Array:
    """Texts that begin with a date, where there is such a day."""
    doubtful = pc.match_substring_regex(texts, _SOME_DAYS)
    if pc.any(doubtful).as_py():
        real = [t is not None and _is_day(t[:10]) for t in _only(texts, doubtful).to_pylist()]
        texts = _only(texts, pc.or_(pc.invert(doubtful), pa.array(real, pa.bool_())))
    return texts


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _dates(texts: pa.Array) -> pa.Array:
    fits = pc.match_substring_regex(texts, f"^{_DATE}$")
    return _real_days(_only(texts, fits)).cast(pa.date32())


def _uuids(texts: pa.Array) -> pa.Array:
    return pc.ascii_lower(_only(texts, pc.match_substring_regex(texts, _UUID)))


def _booleans(texts: pa.Array) -> pa.Array:
    return _only(texts, pc.is_in(texts, pa.array(["true", "false"]))).cast(pa.bool_())


_OF_TEXTS: dict[Kind, Callable[[pa.Array], pa.Array]] = {
    Kind.STRING: lambda texts: texts,
    Kind.BOOLEAN: _booleans,
    Kind.TIMESTAMP: _timestamps,
    Kind.DATE: _dates,
    Kind.UUID: _uuids,
}
_OF_NUMBERS: dict[Kind, Callable[[pa.Array, Type], pa.Array]] = {
    Kind.INTEGER: _integers,
    Kind.FIXED: _decimals,
}
