"""Contracts, and values that fit them or nearly do, drawn at random."""

from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from connector.core.contracts.contract import Contract, Declared, Policy, declared
from connector.core.rules.rules import Rule
from tests.properties.strategies import numbers, scalars, sets

NAMES = ("a", "b", "dot.ted", 'quo"ted', "é")
TYPES = (
    *("string", "integer", "boolean", "binary", "json", "date", "uuid", "timestamp"),
    *("decimal(6,2)", "decimal(38,0)", "decimal(2,2)", "decimal(20,10)"),
)

Item = dict[str, Any]

_digits = st.text("0123456789", min_size=1, max_size=20)
_plain_numbers = st.builds(
    lambda sign, whole, fraction: f"{sign}{whole}{'.' + fraction if fraction else ''}",
    st.sampled_from(("", "-", "+")),
    _digits,
    st.one_of(st.just(""), _digits),
)
_two = st.integers(0, 61).map(lambda n: f"{n:02}")
_days = st.builds(
    lambda year, month, day: f"{year:04}-{month}-{day}",
    st.one_of(st.integers(0, 10_000), st.sampled_from((1600, 1900, 2000, 2023, 2024))),
    st.one_of(st.integers(1, 12).map(lambda n: f"{n:02}"), _two),
    st.one_of(st.integers(27, 31).map(str), _two),
)
_moments = st.builds(
    lambda day, between, clock, fraction, zone: f"{day}{between}{clock}{fraction}{zone}",
    _days,
    st.sampled_from("Tt _"),
    st.builds(
        lambda h, m, s: f"{h:02}:{m:02}{s}",
        st.integers(0, 24),
        st.integers(0, 60),
        st.one_of(st.just(""), st.integers(0, 60).map(lambda n: f":{n:02}")),
    ),
    st.one_of(st.just(""), st.text("0123456789", max_size=9).map(lambda each: f".{each}")),
    st.one_of(
        st.sampled_from(("Z", "z", "", "+00", "-0530", "+14:00", "-23:59", "+24:00", " Z")),
        st.builds(lambda sign, h, m: f"{sign}{h}:{m}", st.sampled_from("+-"), _two, _two),
    ),
)
_uuids = st.uuids().flatmap(
    lambda each: st.sampled_from((str(each), str(each).upper(), each.hex, f"{{{each}}}"))
)
_texts = st.one_of(
    _plain_numbers, _days, _moments, _uuids, st.sampled_from(("", "true", "false", "True", "AAE="))
)
_epochs = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(-(10**13), 10**13, places=7).map(lambda each: format(each, "f")),
)
values = st.one_of(
    _texts.map(lambda each: {"S": each}),
    st.one_of(numbers(), _epochs).map(lambda each: {"N": each}),
    st.binary(max_size=4).map(lambda each: {"B": b64encode(each).decode()}),
    scalars,
    sets,
    st.just({"M": {"x": {"N": "1.50"}, "y": {"NULL": True}}}),
    st.just({"L": [{"S": "x"}, {"B": "AAE="}]}),
)


@st.composite
def contracts(draw: st.DrawFn, policy: Policy = Policy.EVOLVE) -> Contract:
    """What may be declared of some of the names."""
    entries: dict[str, tuple[Declared, Rule]] = {}
    for name in draw(st.lists(st.sampled_from(("a", "b", "dot.ted")), min_size=1, unique=True)):
        word = draw(st.sampled_from(TYPES))
        format_ = draw(st.sampled_from(("iso8601", "epoch_s", "epoch_ms", "epoch_us", None)))
        entry = declared(word, format_ if word == "timestamp" else None, draw(st.booleans()))
        entries[name.replace(".", "\\.")] = (entry, Rule())
    return Contract.of(entries, policy)


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    """Items with different keys; those of one list have the same kind of value more often."""
    usual = {name: draw(values) for name in NAMES}
    made = []
    for number in range(draw(st.integers(1, 6))):
        names = draw(st.lists(st.sampled_from(NAMES), unique=True))
        attributes = {n: usual[n] if draw(st.booleans()) else draw(values) for n in names}
        made.append({**attributes, "id": {"S": str(number)}})
    return made
