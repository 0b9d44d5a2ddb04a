"""What the values of a column look like besides their type. No value leaves this module."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.contracts.contract import Format
from connector.core.schema import Kind, Type

_DATE = r"\d{4}-\d{2}-\d{2}"
_ISO = rf"^{_DATE}[T ]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}})?)?(Z|[+-]\d{{2}}:?\d{{2}})$"
_HEX = "[0-9a-f]"
_UUID = rf"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$"
_TEXTS = {_ISO: "type: timestamp", rf"^{_DATE}$": "type: date", _UUID: "type: uuid"}
_EARLIEST = 946_684_800  # 2000
_LATEST = 4_102_444_800  # 2100
_UNITS = {Format.EPOCH_S: 1, Format.EPOCH_MS: 1_000, Format.EPOCH_US: 1_000_000}


def looks_like(chunks: Sequence[pa.Array], type_: Type) -> str:
    """What all values of a column could be declared as instead; empty if there is nothing."""
    values = [chunk.drop_null() for chunk in chunks]
    values = [chunk for chunk in values if len(chunk)]
    if not values:
        return ""
    if type_.kind is Kind.STRING:
        fits = (
            word
            for pattern, word in _TEXTS.items()
            if all(_all(pc.match_substring_regex(chunk, pattern)) for chunk in values)
        )
        return next(fits, "")
    if type_.kind is Kind.INTEGER:
        low = min(pc.min(chunk).as_py() for chunk in values)
        high = max(pc.max(chunk).as_py() for chunk in values)
        for format_, unit in _UNITS.items():
            if _EARLIEST * unit <= low and high < _LATEST * unit:
                return f"type: timestamp, from: {format_}"
    return ""


def _all(fits: pa.Array) -> bool:
    return bool(pc.all(fits).as_py())
