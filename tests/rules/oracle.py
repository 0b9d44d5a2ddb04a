"""What rules must make of an item, in plain Python: slow, obvious, and with code of its own."""

import hmac
import json
from base64 import b64decode
from decimal import Decimal
from typing import Any

from connector.core.rules.paths import parse_path
from connector.core.rules.rules import Rule
from tests.properties.oracle import canonical_item

Item = dict[str, Any]
KEY = b"the hash key of these tests, and of no others"
SETS = {"SS": "S", "NS": "N", "BS": "B"}
GONE = object()


def digits(text: str) -> str:
    """A number as rows spell it."""
    number = Decimal(text)
    shown = format(number, "f")
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return "0" if not number else shown


def plain(value: Item) -> str:
    """The canonical JSON of a value."""
    ((tag, content),) = value.items()
    match tag:
        case "S" | "B":
            return json.dumps(content, ensure_ascii=False)
        case "N":
            return digits(content)
        case "BOOL":
            return "true" if content else "false"
        case "NULL":
            return "null"
        case "M":
            each = (f"{plain({'S': name})}:{plain(content[name])}" for name in sorted(content))
            return "{" + ",".join(each) + "}"
        case "L":
            return "[" + ",".join(map(plain, content)) + "]"
    inner = SETS[tag]
    order = {"S": str, "N": Decimal, "B": b64decode}[inner]
    return "[" + ",".join(plain({inner: each}) for each in sorted(content, key=order)) + "]"


def digest(value: Item, key: bytes = KEY) -> str:
    """The digest that a row must have."""
    ((tag, content),) = value.items()
    if tag == "S":
        text = content.encode()
    elif tag == "N":
        text = digits(content).encode()
    elif tag == "B":
        text = b64decode(content)
    else:
        text = plain(value).encode()
    return hmac.new(key, text, "sha256").hexdigest()


class Oracle:
    """The rules of one table."""

    def __init__(self, entries: dict[str, Rule], keys: tuple[str, ...], unlisted: str) -> None:
        self.rules = {parse_path(name): rule for name, rule in entries.items() if not rule.path}
        self.made = {
            str(parse_path(name)[0]): (parse_path(str(rule.path)), rule)
            for name, rule in entries.items()
            if rule.path
        }
        self.keys = keys
        self.unlisted = unlisted

    def row(self, item: Item) -> Item:
        """What a row has of an item, in wire form."""
        shown = {name: self.hidden(value, (name,)) for name, value in item.items()}
        row = {}
        for name, value in shown.items():
            kept = self.without(value, (name,))
            listed = any(path[0] == name for path in self.rules) or name in self.keys
            if kept is not GONE and (listed or self.unlisted == "keep"):
                row["\\" + name if name in self.made else name] = kept
        for name, (path, rule) in self.made.items():
            found = self.found({"M": shown}, path, ())
            if found is not None:
                row[name] = self.replaced(found, rule)
        return row

    def replaced(self, value: Item, rule: Rule) -> Item:
        """Hashed or masked."""
        if "NULL" in value:
            return value
        if rule.hash:
            return {"S": digest(value)}
        return value if rule.mask is None else {"S": rule.mask}

    def hidden(self, value: Item, path: tuple[Any, ...]) -> Item:
        """With everything hashed and masked that is to be."""
        value = self.replaced(value, self.rules.get(path, Rule()))
        ((tag, content),) = value.items()
        if tag == "M":
            return {"M": {n: self.hidden(each, (*path, n)) for n, each in content.items()}}
        if tag == "L":
            return {"L": [self.hidden(each, (*path, None)) for each in content]}
        if tag in SETS and (*path, None) in self.rules:
            new = [self.hidden({SETS[tag]: each}, (*path, None)) for each in content]
            texts = [text for each in new for text in each.values()]
            return {("SS" if "S" in new[0] else tag): list(dict.fromkeys(texts))}
        return value

    def without(self, value: Item, path: tuple[Any, ...]) -> Any:
        """Without everything that is excluded, GONE if that is all of it."""
        if self.rules.get(path, Rule()).exclude:
            return GONE
        ((tag, content),) = value.items()
        if tag == "M":
            inner = {n: self.without(each, (*path, n)) for n, each in content.items()}
            return {"M": {n: each for n, each in inner.items() if each is not GONE}}
        if tag == "L":
            kept = [self.without(each, (*path, None)) for each in content]
            return {"L": [each for each in kept if each is not GONE]}
        if tag in SETS and self.rules.get((*path, None), Rule()).exclude:
            return {"L": []}
        return value

    def found(self, value: Item, steps: tuple[Any, ...], at: tuple[Any, ...]) -> Item | None:
        """What is at a path: excluded or not, but without what is excluded further in."""
        ((tag, content),) = value.items()
        if not steps:
            inner = {p: r for p, r in self.rules.items() if len(p) > len(at)}
            below = Oracle({}, self.keys, self.unlisted)
            below.rules = inner
            kept: Item = below.without(value, at)
            return kept
        step, rest = steps[0], steps[1:]
        if step is not None:
            inside = tag == "M" and step in content
            return self.found(content[step], rest, (*at, step)) if inside else None
        if tag != "L" and tag not in SETS:
            return None
        elements = content if tag == "L" else [{SETS[tag]: each} for each in content]
        found = [self.found(each, rest, (*at, None)) for each in elements]
        there = [each for each in found if each is not None]
        return {"L": [e for each in there for e in each["L"]] if None in rest else there}

    def canonical(self, item: Item) -> dict[str, Any]:
        """What a row must hold, as `canonical_rows` reads it."""
        return canonical_item(self.row(item))
