"""The entries of a table's `routes`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from connector.config.fields import Name, Section, refuse
from connector.core.routes.routes import NO_ROUTES, Condition, PatternError, Route, Routes, pattern
from connector.core.rules.paths import PathError, parse_path

SKIP = "skip"
_FORM = "Write {when: {attribute: value}, into: table}, and {else: table} or {else: skip} last."
_KEYS = {"when", "into", "else"}


class _Wrong(Exception):
    """What is wrong with an entry, and a hint."""

    def __init__(self, problem: str, hint: str = _FORM) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def _routes(value: object) -> Routes:
    if isinstance(value, Routes):
        return value
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise refuse("This must be a list of routes.", _FORM)
    entries: list[Route] = []
    for number, entry in enumerate(value, 1):
        try:
            entries.append(_route(entry, last=number == len(value)))
        except _Wrong as wrong:
            raise refuse(f"entry {number}: {wrong.problem}.", wrong.hint) from None
    try:
        _check_targets(entries)
    except _Wrong as wrong:
        raise refuse(f"{wrong.problem}.", wrong.hint) from None
    return Routes(tuple(entries))


def _route(entry: object, last: bool) -> Route:
    if not isinstance(entry, Mapping):
        raise _Wrong("it is not a route")
    unknown = sorted(str(key) for key in entry if key not in _KEYS)
    if unknown:
        raise _Wrong(f"{unknown[0]} is not a known key")
    if "else" in entry:
        if len(entry) > 1:
            raise _Wrong("an else has nothing beside it")
        if not last:
            raise _Wrong("only the last route can be an else: it matches all that is left")
        name = _name(entry["else"], "else")
        return Route(None if name == SKIP else name)
    if last:
        raise _Wrong("the last route must be an else, so that every item has one")
    if "when" not in entry:
        raise _Wrong("it has no when")
    if "into" not in entry:
        raise _Wrong("it has no into")
    into = _name(entry["into"], "into")
    if into == SKIP:
        raise _Wrong(
            "into: skip does not leave items out, and skip can be the name of no target",
            "Only an else can be skip: list what is to be kept before it.",
        )
    return Route(into, tuple(_conditions(entry["when"])))


def _name(value: object, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong(f"{key} must be the name of a table")
    if not value.isprintable():
        raise _Wrong(f"{key}: a name must not hold control characters")
    return value


def _conditions(when: object) -> Iterator[Condition]:
    if not isinstance(when, Mapping):
        raise _Wrong("when must name attributes and what they must be")
    if not when:
        raise _Wrong("when is empty, so it would match every item")
    seen: set[str] = set()
    for key, value in when.items():
        name = _attribute(key)
        if name in seen:
            raise _Wrong(f"when.{key}: the attribute {name} is there twice")
        seen.add(name)
        yield _condition(name, value)


def _attribute(key: object) -> str:
    if not isinstance(key, str):
        raise _Wrong(f"when.{key}: the name of an attribute is a text", "Put it in quotes.")
    try:
        path = parse_path(key)
    except PathError as error:
        raise _Wrong(f"when.{key}: this is not the name of an attribute: {error.problem}") from None
    name = path[0]
    if len(path) > 1 or name is None:
        raise _Wrong(
            f"when.{key}: routes look at whole attributes, and this leads into one",
            rf"Write \. for a dot in a name, or let the application set an attribute for {key}.",
        )
    return name


def _condition(name: str, value: object) -> Condition:
    match value:
        case None:
            return Condition(name, "null")
        case bool():
            return Condition(name, "boolean", "true" if value else "false")
        case int():
            return Condition(name, "number", str(value))
        case float() if isfinite(value):
            return Condition(name, "number", format(Decimal(repr(value)), "f"))
        case str():
            return Condition(name, "text", _pattern(name, value))
        case date():
            raise _Wrong(f"when.{name}: YAML reads this as a date", "Put it in quotes.")
    raise _Wrong(
        f"when.{name}: an attribute must be a text, a number, true, false or null",
        "For one of several values, write a route for each, or an * in a text.",
    )


def _pattern(name: str, text: str) -> str:
    try:
        pattern(text)
    except PatternError as error:
        raise _Wrong(
            f"when.{name}: this is not a pattern: {error}", r"Write \\ for a backslash."
        ) from None
    return text


def _check_targets(entries: Sequence[Route]) -> None:
    seen: dict[str, str] = {}
    for route in entries:
        if route.into is None:
            continue
        other = seen.setdefault(route.into.casefold(), route.into)
        if other != route.into:
            raise _Wrong(
                f"{other} and {route.into} are one table in the destination",
                "Write its name in one way, or give them different names.",
            )
    if not seen:
        raise _Wrong("no route leads into a table, so nothing would be kept")


def _schema() -> dict[str, Any]:
    value = {"type": ["string", "number", "boolean", "null"]}
    when = {"type": "object", "additionalProperties": value, "minProperties": 1}
    text = {"type": "string", "minLength": 1}
    route = {"when": when, "into": text, "else": text}
    entry = {"type": "object", "properties": route, "additionalProperties": False}
    return {"type": "array", "items": entry, "minItems": 1}


RouteEntries = Annotated[Routes, BeforeValidator(_routes), WithJsonSchema(_schema())]


class TableRoutes(Section):
    """Where a table's items go."""

    into: Name | None = Field(
        default=None, description="The table's name in the destination; by default its own name."
    )
    routes: RouteEntries = Field(
        default=NO_ROUTES,
        description="Divides the items among several targets by what their attributes are; the "
        "first route that matches wins, and the last must be an else: see docs/tables.md.",
        json_schema_extra={"default": []},
    )

    def targets(self, table: str) -> tuple[str, ...]:
        """The names of the targets of a table."""
        return self.routes.targets or (self.into or table.rpartition("/")[2],)

    def check_routes(self, by_time: bool) -> None:
        """Refuses what a table with routes cannot have."""
        if self.routes:
            _check_beside(self.into, by_time)


def _check_beside(into: str | None, by_time: bool) -> None:
    if into is not None:
        raise refuse(
            "into and routes contradict each other.", "Take into out: each route names its target."
        )
    if by_time:
        raise refuse(
            "follow: kinesis and follow: exports cannot be combined with routes yet.",
            "Follow the table by its stream, or take routes out.",
        )
