"""What a table's columns are declared to be, and what becomes of values that do not fit."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from connector.core.rules.paths import EACH, escaped, parse_path
from connector.core.rules.rules import Rule
from connector.core.schema import (
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL_DIGITS,
    INTEGER,
    JSON,
    STRING,
    TIMESTAMP,
    UUID,
    Kind,
    Type,
    fixed_type,
    parse_type,
)
from connector.core.words import joined
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.core.keys import KeySchema

_TYPES = {
    "string": STRING,
    "integer": INTEGER,
    "boolean": BOOLEAN,
    "binary": BINARY,
    "json": JSON,
    "timestamp": TIMESTAMP,
    "date": DATE,
    "uuid": UUID,
}
_ELSEWHERE = {
    word: type_
    for type_, words in {
        "string": "text varchar char character str",
        "integer": "int bigint smallint tinyint long int2 int4 int8 int16 int32 int64",
        "boolean": "bool",
        "binary": "bytea blob bytes varbinary",
        "json": "jsonb variant object map struct list array set super",
        "timestamp": "timestamptz datetime timestamp_tz timestamp_ntz timestamp_ltz",
    }.items()
    for word in words.split()
}
"""What other programs call a type."""
_OF_KEYS = {"S": STRING, "B": BINARY}
"""Types that may be declared of parts of a key; a number may be of any size."""
_DECIMAL = re.compile(r"decimal\( *([0-9]{1,9}) *, *([0-9]{1,9}) *\)")
TYPE_WORDS = ("string", "integer", "decimal(p,s)", *list(_TYPES)[2:])
"""Every type that can be declared; p is the number of digits, s that of those after the point."""


class Policy(StrEnum):
    """What becomes of values that do not fit, and of attributes that have no column yet.

    `evolve` and `freeze` put a value that does not fit into `_rest`; `quarantine` quarantines its
    item, and `fail` stops the table. `freeze` adds no columns.
    """

    EVOLVE = "evolve"
    FREEZE = "freeze"
    QUARANTINE = "quarantine"
    FAIL = "fail"


class Format(StrEnum):
    """How a timestamp is written at the source."""

    ISO8601 = "iso8601"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"


class ContractError(ValueError):
    """A declaration that cannot be meant: what is wrong, and a hint."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


@dataclass(frozen=True)
class Declared:
    """What is declared of one column."""

    type: Type | None = None
    """None if values may be of any type, as in a column that nothing is declared of."""
    format: Format | None = None
    """How a timestamp is written at the source; it has none with other types."""
    required: bool = False

    def __bool__(self) -> bool:
        return self.type is not None or self.required

    def __str__(self) -> str:
        text = word_of(self.type) if self.type else "any type"
        if self.format not in (None, Format.ISO8601):
            text += f" from {self.format}"
        return f"{text}, required" if self.required else text

    def plain(self) -> dict[str, Any]:
        """The fields as plain values."""
        values = {
            "type": self.type and str(self.type.text()),
            "from": self.format and self.format.value,
            "required": self.required,
        }
        return {name: value for name, value in values.items() if value}


def declared(
    type_: str | None = None, from_: str | None = None, required: bool = False
) -> Declared:
    """A declaration, from its words. Raises ContractError."""
    parsed = None if type_ is None else parse_word(type_)
    if from_ is not None and parsed != TIMESTAMP:
        raise ContractError(
            "from says how timestamps are written, and this is not declared to be one.",
            "Declare type: timestamp, or take from out.",
        )
    if from_ is not None and from_ not in list(Format):
        raise ContractError(f"from is none of {joined(list(Format))}.")
    default = Format.ISO8601 if parsed == TIMESTAMP else None
    return Declared(parsed, Format(from_) if from_ else default, required)


def _meant(text: str) -> str:
    """A hint, if a word means a type elsewhere."""
    word = text.strip().lower()
    if word.startswith(("decimal", "numeric")):
        return "Write its digits and those after the point, for example decimal(10,2)."
    bare = word.partition("(")[0]
    meant = bare if bare in _TYPES else _ELSEWHERE.get(bare)
    return f"Write {meant}." if meant else ""


def parse_word(text: str) -> Type:
    """The type that a word declares. Raises ContractError."""
    if text in _TYPES:
        return _TYPES[text]
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ContractError(f"This is not a type: it must be {joined(TYPE_WORDS)}.", _meant(text))
    digits, scale = int(found[1]), int(found[2])
    if not (1 <= digits <= DECIMAL_DIGITS and scale <= digits):
        raise ContractError(
            f"A decimal has 1 to {DECIMAL_DIGITS} digits, and no more after the point than in all.",
            "Write for example decimal(10,2).",
        )
    return fixed_type(digits - scale, scale)


def word_of(type_: Type) -> str:
    """The word that declares a type; `parse_word` reads it back."""
    if type_.kind in (Kind.FIXED, Kind.DECIMAL):
        return f"decimal({type_.whole + type_.scale},{type_.scale})"
    return type_.text()


def check_declared(name: str, entry: Declared, rule: Rule) -> None:
    """Raises ContractError if a declaration contradicts the rule of its entry or the entry's name.

    Rules come first: what is declared is the type of what they leave.
    """
    if not entry:
        return
    what = "type" if entry.type else "required"
    if len(path := parse_path(name)) > 1:
        plain = "_".join(step for step in path if step is not EACH)
        raise ContractError(
            f"{what} is about a column, and this value has none.",
            f"Make a column of it: `{plain}: {{path: {name}, ...}}`.",
        )
    if rule.exclude:
        raise ContractError(f"exclude and {what} contradict each other.", "Take one of them out.")
    if entry.type not in (None, STRING) and (rule.hash or rule.mask is not None):
        kind = "hash" if rule.hash else "mask"
        raise ContractError(
            f"{kind} makes a text of the value, so its type cannot be {word_of(entry.type)}.",
            "Declare type: string, or no type.",
        )


@dataclass(frozen=True)
class Contract:
    """Everything that is declared of one table, by attribute, in the order of its entries."""

    columns: tuple[tuple[str, Declared], ...] = ()
    policy: Policy = Policy.EVOLVE

    @classmethod
    def of(
        cls, entries: Mapping[str, tuple[Declared, Rule]], policy: Policy = Policy.EVOLVE
    ) -> "Contract":
        """The contract of a configuration's entries. Raises ContractError.

        Entries of which nothing is declared matter under `freeze`: they may have columns.
        """
        columns: dict[str, Declared] = {}
        for name, (entry, rule) in entries.items():
            check_declared(name, entry, rule)
            path = parse_path(name)
            listed = policy is Policy.FREEZE and len(path) == 1 and not rule.exclude
            if entry or listed:
                columns[str(path[0])] = entry
        return cls(tuple(columns.items()), policy)

    def __bool__(self) -> bool:
        return bool(self.columns) or self.policy is not Policy.EVOLVE

    def __str__(self) -> str:
        return ", ".join([self.policy, *(f"{name}: {entry}" for name, entry in self.columns)])

    @cached_property
    def named(self) -> dict[str, Declared]:
        """The declarations by attribute."""
        return dict(self.columns)

    @cached_property
    def types(self) -> dict[str, Type]:
        """The declared types, by attribute; these have a column whatever the items are."""
        return {name: entry.type for name, entry in self.columns if entry.type is not None}

    @cached_property
    def judged(self) -> dict[str, Declared]:
        """The declarations that a value, or its absence, can fail to fit."""
        return {name: entry for name, entry in self.columns if entry}

    @property
    def frozen(self) -> bool:
        """Whether no attribute gets a column any more."""
        return self.policy is Policy.FREEZE

    def check_layout(self, packed: bool, max_columns: int) -> None:
        """Raises ContractError if there can be no columns for all that is declared."""
        if not self.judged:
            return
        if packed:
            raise ContractError(
                "layout: packed gives columns to the key alone, so nothing can be declared of "
                "others.",
                "Leave layout out, and set contract: freeze: attributes without an entry in "
                "columns then go to _rest.",
            )
        if len(self.judged) > max_columns:
            raise ContractError(
                f"columns declares {len(self.judged):,} columns, and max_columns is "
                f"{max_columns:,}.",
                "Raise max_columns, or declare fewer.",
            )

    def check_keys(self, table: str, keys: "KeySchema", hashed: Collection[str] = ()) -> None:
        """Raises ConfigError if a part of the key is to be cast; `hashed` ones are texts."""
        for key in keys:
            entry = self.named.get(key.name, Declared())
            own = STRING if key.name in hashed else _OF_KEYS.get(key.tag)
            if entry.type not in (None, own):
                word = None if own is None else word_of(own)
                raise ConfigError(
                    f"tables.{table}.columns.{escaped(key.name)}.type: {key.name} is a part of the "
                    f"table's key, which is never cast, so it cannot be {word_of(entry.type)}.",
                    f"Take type out, or declare {word}." if word else "Take type out.",
                )

    def plain(self) -> dict[str, Any]:
        """The fields as plain values; `contract_of` reads them back."""
        return {
            "columns": [[name, entry.plain()] for name, entry in self.columns],
            "policy": self.policy.value,
        }


def contract_of(values: Mapping[str, Any]) -> Contract:
    """A contract from the fields that `Contract.plain` returns."""
    columns = tuple((name, _declared_of(entry)) for name, entry in values["columns"])
    return Contract(columns, Policy(values["policy"]))


def _declared_of(values: Mapping[str, Any]) -> Declared:
    type_, format_ = values.get("type"), values.get("from")
    return Declared(
        parse_type(type_) if type_ else None,
        Format(format_) if format_ else None,
        values.get("required", False),
    )


NO_CONTRACT = Contract()
