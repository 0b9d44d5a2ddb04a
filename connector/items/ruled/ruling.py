"""The rules of one table, ready to be applied to its items."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connector.core.keys import KeySchema, key_text
from connector.core.rules.hash_key import HashKey, another_key, no_key
from connector.core.rules.paths import Path, parse_path
from connector.core.rules.rules import BESIDE, Rule, Rules
from connector.items import parts
from connector.items.keys import key_in
from connector.items.ruled.values import (
    Digest,
    Place,
    Wire,
    changed,
    pruned,
    replaced,
    taken,
    text_of,
)


@dataclass
class Source:
    """An attribute that rules are about: what becomes of its values."""

    name: str
    """What it is called in a row."""
    digest: Digest
    digests: Callable[[Sequence[str | None]], list[str | None]]
    """The digests of many texts."""
    place: Place = field(default_factory=Place)
    kept: bool = True
    """Whether the attribute itself is in the row."""
    made: list[tuple[str, Path, Rule]] = field(default_factory=list)
    """The columns that are made of values in it: their names, where these are, and their rules."""

    @property
    def names(self) -> list[str]:
        """What a row may have of it."""
        return [*([self.name] if self.kept else []), *(name for name, _, _ in self.made)]

    @property
    def mask(self) -> str | None:
        """What a row has instead of whatever the attribute is, if that is all that it has."""
        return self.place.rule.mask if self.kept and not self.made else None

    @property
    def only_hashed(self) -> bool:
        """Whether its digest is all that a row has of it."""
        return self.kept and self.place.rule.hash and not self.made

    def outputs(self, value: Any) -> Iterator[tuple[str, Wire]]:
        """What a row has of one value, by attribute. Raises Malformed."""
        if not self.kept and not self.made:
            return
        value = changed(value, self.place, self.digest)
        if self.kept:
            yield self.name, pruned(value, self.place)
        for name, path, rule in self.made:
            found = taken(value, path, self.place)
            if found is not None:
                yield name, replaced(found, rule, self.digest)


class Ruling:
    """Applies the rules of one table. Its answers hold nothing that the rules hide."""

    def __init__(self, rules: Rules, keys: KeySchema, key: HashKey | None, table: str = "") -> None:
        """Raises ConfigError without the key that the table's digests are made with."""
        if rules.hashes:
            if key is None:
                raise no_key(table)
            if rules.key_check not in ("", key.check):
                raise another_key(table, rules.hides_keys(keys))
        self.rules = rules
        self.keys = keys
        self.row_keys = rules.row_keys(keys)
        # Without a key there is nothing to hash.
        key = key or HashKey(b"")
        self.digest: Digest = key.digest
        self._digests = key.digests
        self._key_names = {each.name for each in keys}
        self.hashed_keys = {name for name in self._key_names if rules.whole(name).hash}
        self._made = {str(path[0]) for path, rule in rules.entries if rule.path is not None}
        self._listed = {str(path[0]) for path, rule in rules.entries if rule.path is None}
        self.sources: dict[str, Source] = {}
        for path, rule in rules.entries:
            self._add(path, rule)

    def _add(self, path: Path, rule: Rule) -> None:
        if rule.path is not None:
            first, *rest = parse_path(rule.path)
            made = (str(path[0]), tuple(rest), rule)
            self._source(str(first)).made.append(made)
        elif rule.hides:
            source = self._source(str(path[0]))
            source.place.at(path[1:]).rule = rule
            source.kept = source.kept and not source.place.rule.exclude

    def _source(self, name: str) -> Source:
        if name not in self.sources:
            row_name = self.row_name(name)
            kept = row_name is not None
            self.sources[name] = Source(row_name or name, self.digest, self._digests, kept=kept)
        return self.sources[name]

    def row_name(self, name: str) -> str | None:
        """What an attribute is called in a row; None if it is left out, being unlisted."""
        listed = name in self._listed or name in self._key_names
        if self.rules.unlisted == "exclude" and not listed:
            return None
        return BESIDE + name if name in self._made else name

    @property
    def listed(self) -> list[str]:
        """The attributes that have an entry of their own and no rule."""
        return sorted(self._listed - self.sources.keys() - self._key_names)

    def applied(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What a row has of an item, both in wire form. Raises Malformed."""
        row: dict[str, Any] = {}
        for name, value in item.items():
            source = self.sources.get(name)
            if source is not None:
                row.update(source.outputs(value))
            elif (row_name := self.row_name(name)) is not None:
                row[row_name] = value
        return row

    def readable(self, raw: bytes) -> bytes:
        """An item that cannot be decoded, without what is hidden whole: that need not be valid."""
        try:
            members = parts.members(raw)
        except (ValueError, RecursionError):
            return raw
        return _object(
            {
                name: _ANYTHING if self._masked(name) and not is_null(part) else part
                for name, part in members.items()
                if self._needed(name)
            }
        )

    def _needed(self, name: str) -> bool:
        source = self.sources.get(name)
        return bool(source.names) if source else self.row_name(name) is not None

    def _masked(self, name: str) -> bool:
        source = self.sources.get(name)
        return source is not None and source.mask is not None

    def key(self, key: Sequence[str]) -> tuple[str, ...]:
        """The canonical key of a row, by that of its item."""
        return tuple(
            self.digest(text_of(attribute.tag, part))
            if attribute.name in self.hashed_keys
            else part
            for attribute, part in zip(self.keys, key, strict=True)
        )

    def key_text_in(self, raw: bytes) -> str | None:
        """The `key_text` of the row of an item; None if the item has no valid key."""
        key = key_in(self.keys, raw)
        return None if key is None else key_text(self.key(key))

    @staticmethod
    def quarantined(reason: str, shown: str | None) -> tuple[str, str]:
        """The reason and the wire form for the quarantine of what may be `shown`."""
        return (reason, shown) if shown is not None else (f"{reason} ({WITHHELD})", "")

    def shown(self, raw: bytes) -> str | None:
        """An item's wire form, with nothing in it that the rules hide; None if it has no parts."""
        if not self.rules.hides:
            return raw.decode(errors="backslashreplace")
        try:
            members = parts.members(raw)
        except (ValueError, RecursionError):
            return None
        return _object(dict(self._shown(members))).decode(errors="backslashreplace")

    def _shown(self, members: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        for name, part in members.items():
            source = self.sources.get(name)
            if source is None:
                if (row_name := self.row_name(name)) is not None:
                    yield row_name, part
                continue
            try:
                row = dict(source.outputs(msgspec.json.decode(part)))
                yield from ((each, msgspec.json.encode(value)) for each, value in row.items())
            except (ValueError, RecursionError):
                # What cannot be parsed cannot be hashed either.
                yield from ((each, _WITHHELD) for each in source.names)

    def shown_record(self, text: str) -> str | None:
        """A stream record's wire form, with nothing in it that the rules hide; None as above."""
        if not self.rules.hides:
            return text
        try:
            record = parts.members(text.encode())
            change = parts.members(record["dynamodb"])
        except (KeyError, ValueError, RecursionError):
            return None
        kept = _about(change)
        for name in _IMAGES & change.keys():
            kept[name] = (self.shown(change[name]) or _WITHHELD.decode()).encode()
        return _object({**_about(record), "dynamodb": _object(kept)}).decode()


WITHHELD = "withheld: it cannot be read in parts, so what the rules hide cannot be taken out"
_WITHHELD = b'"withheld"'
_ANYTHING = b'{"S":""}'
_IMAGES = {"Keys", "NewImage", "OldImage"}
_ABOUT = {
    "eventName": re.compile(rb'"[A-Z_]+"'),
    "SequenceNumber": re.compile(rb'"[0-9]+"'),
    "ApproximateCreationDateTime": re.compile(rb"[0-9.eE+]+"),
}
"""What records hold besides items, as far as it is what it should be."""


def _about(members: Mapping[str, bytes]) -> dict[str, bytes]:
    return {
        name: members[name]
        for name, form in _ABOUT.items()
        if name in members and form.fullmatch(members[name])
    }


def is_null(raw: bytes) -> bool:
    """Whether a value's wire form is that of NULL."""
    return b"NULL" in raw and b"".join(raw.split()) == b'{"NULL":true}'


def _object(members: Mapping[str, bytes]) -> bytes:
    each = (msgspec.json.encode(_text(name)) + b":" + part for name, part in members.items())
    return b"{" + b",".join(each) + b"}"


def _text(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
