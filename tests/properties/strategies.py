"""Any item DynamoDB can hold, in wire form: ten types, nasty names, numbers at every limit."""

import os
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from connector.core.keys import KeyAttribute, KeySchema
from tests.rigs.combinations import amount

Item = dict[str, Any]

LARGE = os.environ.get("TEST_SCALE") == "large"


def profile(examples: int, times: int = 20) -> settings:
    """Few examples, always the same ones; or `times` as many and new ones in a large run."""
    few = amount(examples, by_turns=max(2, examples // 2))
    return settings(
        max_examples=examples * times if LARGE else few,
        derandomize=not LARGE,
        database=None,
        deadline=None,
        # Shrinking takes minutes here, which only a large run may take.
        phases=tuple(Phase) if LARGE else (Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def quick_folder() -> TemporaryDirectory[str]:
    """A folder in memory where there is one: each example commits many times."""
    memory = Path("/dev/shm")
    return TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


NASTY_NAMES = (
    "a",
    "A",
    "á",
    "a\u0301",
    "a.b c\"d'e;--",
    "100% %s",
    "_commit",
    "_COMMIT",
    "_changed_at",
    "_deleted",
    "_rest",
    "c0",
    "s",
    "d",
    "key",
    "commit",
    "marked",
    "_connector_staged",
    "_connector_row",
    "t",
    "changed_at",
    "deleted",
    "rest",
    "item.a",
    "select",
    "rowid",
    "$1",
    "\x00",
    "a\x00b",
    "a\\b",
    "\\0",
    "\\\\0\\",
    " ",
    "\n",
    "\u202egnp.exe",
    "__proto__",
    "aws:rep:deleting",
    "n" * 63,
    "n" * 64,
    "n" * 65_535,
    "é" * 300,
)
NASTY_NUMBERS = (
    "0",
    "-0",
    "0.0",
    "1.500",
    "007",
    "+1",
    "1E-130",
    "-1E-130",
    "9.99E+125",
    "-9.9999999999999999999999999999999999999E+125",
    "99999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000001",
    "1.2345678901234567890123456789012345678",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "1e2",
    ".5",
    "5.",
)
NASTY_TEXTS = (
    "",
    "\x00",
    "null",
    '"',
    "{}",
    "1",
    "\u2028",
    "'; DROP TABLE orders; --",
    "\U0001f600",
)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A number within DynamoDB's limits, in any of the spellings it might be sent in."""
    if draw(st.booleans()):
        return draw(st.sampled_from(NASTY_NUMBERS))
    if draw(st.booleans()):
        return str(draw(st.integers(-1000, 1000)))
    digits = str(draw(st.integers(1, 10**38 - 1)))
    adjusted = draw(st.integers(-130, 125))
    sign = draw(st.sampled_from(("", "-")))
    value = Decimal(f"{sign}{digits}E{adjusted - len(digits) + 1}")
    return draw(st.sampled_from((str(value), format(value, "f"), f"{value:E}")))


unicode = st.characters(exclude_categories=["Cs"])
texts = st.sampled_from(NASTY_TEXTS) | st.text(unicode, max_size=12)
names = st.sampled_from(NASTY_NAMES) | st.text(unicode, min_size=1, max_size=6)
binaries = st.binary(max_size=12).map(lambda raw: b64encode(raw).decode())


def _tagged(tag: str, content: st.SearchStrategy[Any]) -> st.SearchStrategy[Item]:
    return content.map(lambda inner: {tag: inner})


scalars = st.one_of(
    _tagged("S", texts),
    _tagged("N", numbers()),
    _tagged("B", binaries),
    _tagged("BOOL", st.booleans()),
    st.just({"NULL": True}),
)
sets = st.one_of(
    _tagged("SS", st.lists(texts, min_size=1, max_size=4, unique=True)),
    _tagged("NS", st.lists(numbers(), min_size=1, max_size=4, unique_by=Decimal)),
    _tagged("BS", st.lists(binaries, min_size=1, max_size=4, unique=True)),
)
nested = st.recursive(
    scalars | sets,
    lambda inner: st.one_of(
        _tagged("L", st.lists(inner, max_size=3)),
        _tagged("M", st.dictionaries(names, inner, max_size=3)),
    ),
    max_leaves=8,
)


@st.composite
def deep(draw: st.DrawFn) -> Item:
    """A value nested as deep as DynamoDB allows."""
    value = draw(scalars)
    for _ in range(31):
        value = {"L": [value]} if draw(st.booleans()) else {"M": {"m": value}}
    return value


values = st.one_of(scalars, scalars, sets, nested, deep())

key_texts = st.text(unicode, min_size=1, max_size=8)
KEY_VALUES = {
    "S": st.sampled_from([text for text in NASTY_TEXTS if text]) | key_texts,
    "N": numbers(),
    "B": st.binary(min_size=1, max_size=8).map(lambda raw: b64encode(raw).decode()),
}


@st.composite
def key_schemas(draw: st.DrawFn) -> KeySchema:
    """One or two key attributes of any types, of names that a key may have."""
    allowed = [n for n in NASTY_NAMES if len(n.encode()) <= 255 and not n.startswith("aws:")]
    chosen = draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=2, unique=True))
    return tuple(KeyAttribute(name, draw(st.sampled_from("SNB"))) for name in chosen)


@st.composite
def keys(draw: st.DrawFn, schema: KeySchema) -> Item:
    """A key of this schema."""
    return {part.name: {part.tag: draw(KEY_VALUES[part.tag])} for part in schema}


@st.composite
def items(draw: st.DrawFn, schema: KeySchema, pool: tuple[str, ...] = ()) -> Item:
    """An item of this schema; with a pool, attributes whose names other items share."""
    chosen = st.sampled_from(pool) if pool else names
    attributes = draw(st.dictionaries(chosen, values, max_size=6))
    return {**attributes, **draw(keys(schema))}
