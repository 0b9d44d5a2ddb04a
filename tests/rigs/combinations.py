"""Combinations that multiply what other tests show one by one: all of them, or each case once.

With TEST_COMBINATIONS=by-turns each case of a test that is marked `by_turns` meets one value of
what it is multiplied with, such as one database: the first case the first value, the second case
the second one, and so on. Every test and every case runs, and so does every value. A value that is
named with `always`, such as a fake that costs next to nothing, is met by every case besides. Of a
long list, such as the points where a run is killed, `at_once` values are met, far apart in it.

TEST_TURN is a number that all turns are moved on by. CI takes that of the commit, so that the next
commit meets other combinations, and the same commit meets the same ones again.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar
from zlib import crc32

import pytest

VARIABLE = "TEST_COMBINATIONS"
BY_TURNS = "by-turns"
MOVED = "TEST_TURN"
MARKER = (
    "by_turns(*parameters, always=None, at_once=1): with TEST_COMBINATIONS=by-turns, one value of "
    "these for each case, or as many as that, and this value for all"
)

Value = TypeVar("Value")


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is not a case's turn."""
    if not are_by_turns():
        return
    left_out = set(_out_of_turn(items))
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def are_by_turns() -> bool:
    """Whether each case meets one value only."""
    return os.environ.get(VARIABLE) == BY_TURNS


def moved() -> int:
    """How far all turns are moved on."""
    return int(os.environ.get(MOVED) or 0)


def turn(values: Sequence[Value], case: int, at_once: int = 1) -> Sequence[Value]:
    """The values that a case meets: all of them, or some by turns, at least `at_once`."""
    if not are_by_turns():
        return values
    return [values[place] for place in _places(len(values), case + moved(), at_once)]


def amount(whole: int, by_turns: int) -> int:
    """How much of something is enough: the whole, or by turns what shows the same in less time.

    CI, whose turns are moved on, takes the whole.
    """
    return by_turns if are_by_turns() and not os.environ.get(MOVED) else whole


def _out_of_turn(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    tests = defaultdict(list)
    for item in items:
        if item.get_closest_marker("by_turns") and hasattr(item, "callspec"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for name, cases in tests.items():
        found: dict[object, list[pytest.Item]] = defaultdict(list)
        for item in cases:
            if not _is_always_met(item):
                found[_case(item)].append(item)
        # Tests of one case each do not all begin with the same value.
        for number, each in enumerate(found.values(), crc32(name.encode()) + moved()):
            yield from _not_chosen(each, number)


def _not_chosen(each: Sequence[pytest.Item], number: int) -> Iterator[pytest.Item]:
    chosen = set(_places(len(each), number, _at_once(each[0])))
    yield from (item for place, item in enumerate(each) if place not in chosen)


def _places(count: int, number: int, at_once: int) -> Iterator[int]:
    """The places of a list whose turn it is: at least `at_once`, far apart."""
    apart = max(1, count // at_once)
    # Each round of `apart` places begins with another one, so that those chosen differ in all.
    yield from (place for place in range(count) if (place + place // apart - number) % apart == 0)


def _at_once(item: pytest.Item) -> int:
    marker = item.get_closest_marker("by_turns")
    return int(marker.kwargs.get("at_once", 1)) if marker else 1


def _is_always_met(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("by_turns")
    always = marker.kwargs.get("always") if marker else None
    values: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
    return always is not None and always in values.values()


def _case(item: pytest.Item) -> object:
    """What tells an item's case from others of its test."""
    marker = item.get_closest_marker("by_turns")
    multiplied = marker.args if marker else ()
    values: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
    return tuple(
        (name, _identity(values[name])) for name in sorted(values) if name not in multiplied
    )


def _identity(value: object) -> object:
    """Combinations of one case have the same texts or objects, and not all can be hashed."""
    return value if isinstance(value, str) else id(value)
