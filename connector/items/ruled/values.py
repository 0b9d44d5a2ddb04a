"""What rules make of one value in wire form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.core.rules.paths import EACH, Path, Step
from connector.core.rules.rules import Rule
from connector.core.texts import Malformed, canonical, json_text
from connector.items import values

Wire = dict[str, Any]
"""A value as it is on the wire: an object whose one member is its tag."""

Digest = Callable[[bytes], str]

NULL: Wire = {"NULL": True}

_SETS = {"SS": "S", "NS": "N", "BS": "B"}


@dataclass
class Place:
    """A place in items, the rule for what is there, and the places in it."""

    rule: Rule = field(default_factory=Rule)
    inner: dict[Step, "Place"] = field(default_factory=dict)

    def at(self, path: Path) -> "Place":
        """A place in this one, which is made if there is none."""
        place = self
        for step in path:
            place = place.inner.setdefault(step, Place())
        return place

    def seen(self, path: Path) -> "Place":
        """A place in this one; one without rules if there is none."""
        place = self
        for step in path:
            place = place.inner.get(step, _BARE)
        return place

    @property
    def hides(self) -> bool:
        """Whether there is a rule here or further in."""
        return self.rule.hides or any(each.hides for each in self.inner.values())


_BARE = Place()


def text_of(tag: str, content: Any) -> bytes:
    """The text that the digest of a value is made of. Raises Malformed."""
    if tag == "S":
        return str(values.plain_content(tag, content)).encode()
    if tag == "N":
        return canonical(content).encode()
    if tag == "B":
        return values.binary(content)
    return json_text(values.plain_content(tag, content)).encode()


def cell_of(value: Any) -> tuple[str, Any]:
    """The tag of a value, and its content. Raises Malformed."""
    if type(value) is not dict or len(value) != 1:
        raise Malformed("an attribute value that does not have exactly one type")
    ((tag, content),) = value.items()
    return tag, content


def replaced(value: Any, rule: Rule, digest: Digest) -> Wire:
    """A value, hashed or masked as its rule says; a null stays null.

    What is masked may be anything.
    """
    if rule.mask is not None and value != NULL:
        return {"S": rule.mask}
    tag, content = cell_of(value)
    return {"S": digest(text_of(tag, content))} if rule.hash and tag != "NULL" else {tag: content}


def changed(value: Any, place: Place, digest: Digest) -> Wire:
    """A value in which everything that its place hashes and masks is replaced."""
    made = replaced(value, place.rule, digest)
    if not place.inner:
        return made
    ((tag, content),) = made.items()
    if tag == "M":
        members = {
            name: changed(each, place.inner[name], digest) if name in place.inner else each
            for name, each in _map(content).items()
        }
        return {tag: members}
    each_place = place.inner.get(EACH)
    if each_place is None or (tag != "L" and tag not in _SETS):
        return made
    elements = [changed(each, each_place, digest) for each in _elements(tag, content)]
    return {"L": elements} if tag == "L" else _set(tag, elements)


def pruned(value: Wire, place: Place) -> Wire:
    """A value without what its place excludes further in."""
    if not place.inner:
        return value
    tag, content = cell_of(value)
    if tag == "M":
        members = {
            name: pruned(each, place.seen((name,)))
            for name, each in _map(content).items()
            if not place.seen((name,)).rule.exclude
        }
        return {tag: members}
    each_place = place.inner.get(EACH)
    if each_place is None or (tag != "L" and tag not in _SETS):
        return value
    if each_place.rule.exclude:
        # No set is empty.
        return {"L": []}
    if tag != "L":
        return value
    return {tag: [pruned(each, each_place) for each in _elements(tag, content)]}


def taken(value: Wire, path: Path, place: Place) -> Wire | None:
    """What is at a path in a value; None if there is nothing.

    A path through a list leads to a list of what is found in its elements.
    """
    if not path:
        return pruned(value, place)
    tag, content = cell_of(value)
    step, rest = path[0], path[1:]
    if step is not EACH:
        if tag != "M" or step not in _map(content):
            return None
        return taken(content[step], rest, place.seen((step,)))
    if tag != "L" and tag not in _SETS:
        return None
    each_place = place.seen((EACH,))
    found = [taken(each, rest, each_place) for each in _elements(tag, content)]
    present = [each for each in found if each is not None]
    return {"L": [each for one in present for each in one["L"]] if EACH in rest else present}


def _map(content: Any) -> dict[str, Any]:
    if type(content) is not dict:
        raise Malformed("a map that is not an object")
    return content


def _elements(tag: str, content: Any) -> list[Any]:
    if type(content) is not list:
        raise Malformed("a list or a set that is not an array")
    return content if tag == "L" else [{_SETS[tag]: each} for each in content]


def _set(tag: str, elements: Sequence[Wire]) -> Wire:
    """A set of what its elements have become, which may be fewer."""
    tags = {each_tag for each in elements for each_tag in each}
    if tags <= {_SETS[tag]}:
        return {tag: list(dict.fromkeys(each[_SETS[tag]] for each in elements))}
    return {"SS": list(dict.fromkeys(each["S"] for each in elements))}
