"""Rules and items that meet often, drawn at random."""

from typing import Any

from hypothesis import strategies as st

from connector.core.rules.paths import PathError
from connector.core.rules.rules import Rule, RuleError, Rules, check_rule
from tests.properties.strategies import KEY_VALUES, binaries, numbers, scalars, sets, texts

NAMES = ("a", "b", "m", "l", "dot.ted", "other", "é")
PATHS = (
    *("a", "b", "m", "l", r"dot\.ted", "other", "é"),
    *("m.x", "m.y", "m.x.y", "m.x[].y", "l[]", "l[].x", "l[].y", "l[][].x", "a.x", "b[]"),
)
KINDS = (Rule(hash=True), Rule(mask="****"), Rule(mask=""), Rule(exclude=True), Rule())

Item = dict[str, Any]

values = st.recursive(
    scalars | sets,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"L": each}),
        st.dictionaries(st.sampled_from(("x", "y", "z")), inner, max_size=3).map(
            lambda each: {"M": each}
        ),
    ),
    max_leaves=8,
)
plain_values = st.one_of(
    texts.map(lambda each: {"S": each}),
    numbers().map(lambda each: {"N": each}),
    binaries.map(lambda each: {"B": each}),
)


@st.composite
def items(draw: st.DrawFn, tag: str) -> Item:
    """An item with a key of a type, and attributes that rules are about."""
    same = draw(st.booleans())
    attributes = draw(
        st.dictionaries(st.sampled_from(NAMES), plain_values if same else values, max_size=6)
    )
    return {**attributes, "id": {tag: draw(KEY_VALUES[tag])}}


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Rule]:
    """Entries that a configuration may have together."""
    chosen: dict[str, Rule] = {}
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=5, unique=True)):
        add(chosen, path, draw(st.sampled_from(KINDS)))
    for name in draw(st.lists(st.sampled_from(("made", "other", "b")), max_size=2, unique=True)):
        path, hashed = draw(st.sampled_from((*PATHS, "id"))), draw(st.booleans())
        add(chosen, name, Rule(path=path, hash=hashed))
    if draw(st.booleans()):
        add(chosen, "id", Rule(hash=True))
    return chosen


def add(chosen: dict[str, Rule], name: str, rule: Rule) -> None:
    """Adds an entry unless it contradicts another."""
    if name in chosen:
        return
    try:
        check_rule(name, rule)
        Rules.of({**chosen, name: rule})
    except (RuleError, PathError):
        return
    chosen[name] = rule
