"""Which target an item goes to, by what its attributes say: the first route that matches."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from hashlib import sha256
from typing import Any, Literal

SKIP = -1
"""The place of items that go to no target."""

Kind = Literal["text", "number", "boolean", "null", "digest"]


class PatternError(ValueError):
    """A text that is not a pattern."""


@dataclass(frozen=True)
class Condition:
    """What one attribute must be: a text by its pattern, anything else by its value.

    Numbers are equal by value. Null is an attribute that is NULL or absent. A digest is that of a
    text or a number which is not to be read.
    """

    attribute: str
    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        return f"{self.attribute}: {self.value or self.kind}"

    @property
    def sealed(self) -> "Condition":
        """The same with a digest instead of the value; a text with an * stays as it is."""
        match self.kind:
            case "text" if (text := _literal(self.value)) is not None:
                digest = _digest(self.attribute, "S", text)
            case "number":
                digest = _digest(self.attribute, "N", _canonical(Decimal(self.value)))
            case _:
                return self
        return Condition(self.attribute, "digest", digest)


@dataclass(frozen=True)
class Route:
    """A target, and the conditions that all must hold; the last route has none."""

    into: str | None
    """The target's name; None where items are left out."""
    when: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        conditions = ", ".join(map(str, self.when)) or "else"
        return f"{conditions} → {self.into or 'skip'}"


@dataclass(frozen=True)
class Routes:
    """The routes of one table, in order; none for a table with a single target."""

    entries: tuple[Route, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __str__(self) -> str:
        return "; ".join(map(str, self.entries)) or "no routes"

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the targets, in order; the place of one is its index here."""
        names = (route.into for route in self.entries if route.into is not None)
        return tuple(dict.fromkeys(names))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that decide."""
        names = (condition.attribute for route in self.entries for condition in route.when)
        return tuple(dict.fromkeys(names))

    def sealed(self, hidden: Callable[[str], bool] = lambda attribute: True) -> "Routes":
        """The same, but values of `hidden` attributes cannot be read in them.

        The state of the destination has routes, and no value that rules hide may be there.
        """
        return Routes(
            tuple(
                replace(
                    route,
                    when=tuple(c.sealed if hidden(c.attribute) else c for c in route.when),
                )
                for route in self.entries
            )
        )

    def plain(self) -> list[Any]:
        """The routes as plain values; `routes_of` reads them back."""
        return [
            [route.into, [[c.attribute, c.kind, c.value] for c in route.when]]
            for route in self.entries
        ]


NO_ROUTES = Routes()


def routes_of(values: Sequence[Any]) -> Routes:
    """Routes from what `plain` returns."""
    return Routes(
        tuple(Route(into, tuple(Condition(*each) for each in when)) for into, when in values)
    )


_Test = Callable[[Any], bool]
"""Whether a value in wire form is as it must be; None if the item has none."""


class Router:
    """Finds the place of each item by a table's routes."""

    def __init__(self, routes: Routes) -> None:
        places = {name: place for place, name in enumerate(routes.targets)}
        self._entries = [
            ([(c.attribute, _test(c)) for c in route.when], places.get(route.into or "", SKIP))
            for route in routes.entries
        ]

    def place(self, item: Mapping[str, Any]) -> int:
        """The place of an item in wire form, or SKIP.

        Only the attributes of the routes are looked at; one that is not as it should be equals
        nothing.
        """
        for tests, place in self._entries:
            if all(test(item.get(name)) for name, test in tests):
                return place
        raise ValueError("the last route must match everything")


def _test(condition: Condition) -> _Test:
    match condition.kind:
        case "text":
            return _text(pattern(condition.value))
        case "number":
            return _number(Decimal(condition.value))
        case "boolean":
            return lambda value: value == {"BOOL": condition.value == "true"}
        case "null":
            return lambda value: value is None or value == {"NULL": True}
        case "digest":
            return _sealed(condition)


def pattern(text: str) -> re.Pattern[str]:
    """The pattern that a text describes. Raises PatternError if it ends with a lone backslash."""
    parts = (".*" if part is None else re.escape(part) for part in _parts(text))
    return re.compile("".join(parts), re.DOTALL)


def _parts(text: str) -> Iterator[str | None]:
    """The characters that a pattern stands for, and None for each *."""
    characters = iter(text)
    for character in characters:
        if character != "\\":
            yield None if character == "*" else character
            continue
        literal = next(characters, None)
        if literal is None:
            raise PatternError("it ends with a lone backslash")
        yield literal


def _literal(text: str) -> str | None:
    """The only text that a pattern matches; None if it matches more than one."""
    parts = list(_parts(text))
    return None if None in parts else "".join(part or "" for part in parts)


def _digest(attribute: str, tag: str, text: str) -> str:
    content = "\0".join((attribute, tag, text)).encode("utf-8", "surrogatepass")
    return sha256(content).hexdigest()


def _canonical(number: Decimal) -> str:
    """A number in one way of several; arithmetic would round it."""
    if not number.is_finite():
        raise ValueError("not a number")
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    bare = text.rstrip("0")
    if not bare:
        return "0"
    return f"{'-' if sign else ''}{bare}e{int(exponent) + len(text) - len(bare)}"


def _sealed(condition: Condition) -> _Test:
    def test(value: Any) -> bool:
        text, number = _only(value, "S"), _only(value, "N")
        if isinstance(text, str):
            return _digest(condition.attribute, "S", text) == condition.value
        try:
            return isinstance(number, str) and condition.value == _digest(
                condition.attribute, "N", _canonical(Decimal(number))
            )
        except (DecimalException, ValueError):
            return False

    return test


def _text(wanted: re.Pattern[str]) -> _Test:
    def test(value: Any) -> bool:
        text = _only(value, "S")
        return isinstance(text, str) and wanted.fullmatch(text) is not None

    return test


def _number(wanted: Decimal) -> _Test:
    def test(value: Any) -> bool:
        text = _only(value, "N")
        try:
            return isinstance(text, str) and Decimal(text) == wanted
        except DecimalException:
            return False

    return test


def _only(value: Any, tag: str) -> Any:
    """The content of a value that has this tag and no other."""
    return value.get(tag) if isinstance(value, dict) and len(value) == 1 else None
