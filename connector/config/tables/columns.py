"""The entries of a table's `columns`."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from unicodedata import category

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from connector.config.fields import Name, Section, Text, refuse
from connector.core.contracts.contract import (
    TYPE_WORDS,
    Contract,
    ContractError,
    Declared,
    Policy,
    check_declared,
    declared,
    parse_word,
)
from connector.core.rules.paths import PathError, parse_path
from connector.core.rules.rules import Rule, RuleError, Rules, check_rule

LONGEST_DESCRIPTION = 4_000
_CUT = re.compile(r"decimal\([^,)]*")


def _path(text: str) -> str:
    try:
        parse_path(text)
    except PathError as error:
        raise refuse(f"This is not a path: {error.problem}.", error.hint) from None
    return text


def _type(text: str) -> str:
    try:
        parse_word(text)
    except ContractError as error:
        raise refuse(error.problem, error.hint) from None
    return text


def _description(text: str) -> str:
    text = text.strip()
    if not text:
        raise refuse("It must not be empty.", "Give it a text, or take it out.")
    if len(text) > LONGEST_DESCRIPTION:
        raise refuse(f"It is longer than {LONGEST_DESCRIPTION:,} characters.", "Shorten it.")
    if any(category(each) in ("Cc", "Cs") and each not in "\n\t" for each in text):
        raise refuse("It holds control characters.", "Only tabs and line breaks may be in it.")
    return text


Path = Annotated[Text, AfterValidator(_path)]
_WORDS = {
    "anyOf": [
        {"type": "string", "enum": [word for word in TYPE_WORDS if "(" not in word]},
        {"type": "string", "pattern": r"^decimal\( *[0-9]+ *, *[0-9]+ *\)$"},
    ]
}
TypeWord = Annotated[Text, AfterValidator(_type), WithJsonSchema(_WORDS)]
Description = Annotated[str, AfterValidator(_description)]


class ColumnConfig(Section):
    """What becomes of one attribute, or of a value in one; see docs/tables.md."""

    hash: bool = Field(
        default=False,
        description="Replaces the value by its HMAC-SHA-256 under CONNECTOR_HASH_KEY, as hex.",
    )
    mask: str | None = Field(
        default=None, description="Replaces a value that is present and not null by this text."
    )
    exclude: bool = Field(default=False, description="Leaves the value out.")
    rename: Name | None = Field(default=None, description="The name of the attribute's column.")
    path: Path | None = Field(
        default=None,
        description="Makes a column with the entry's name of a nested value, such as address.city.",
    )
    type: TypeWord | None = Field(
        default=None,
        description="The type of the column: string, integer, decimal(p,s), boolean, binary, json, "
        "timestamp, date or uuid.",
    )
    from_: Literal["iso8601", "epoch_s", "epoch_ms", "epoch_us"] | None = Field(
        default=None,
        alias="from",
        description="How the source writes a timestamp; by default iso8601.",
    )
    required: bool = Field(default=False, description="Whether every item must have a value.")
    description: Description | None = Field(
        default=None, description="What the attribute means: a comment on its column."
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: object) -> object:
        """Refuses a kind without a value: half a rule would let through what it was to hide."""
        if isinstance(data, Mapping):
            known = cls.keys()
            for key, value in data.items():
                if value is None and key in known:
                    raise refuse(f"{key} has no value.", f"Give it one, or take {key} out.")
            if _CUT.fullmatch(str(data.get("type"))):
                raise refuse("type ends at a comma.", 'Inside { } use quotes: "decimal(10,2)".')
        return {} if data is None else data

    def rule(self) -> Rule:
        """The entry as a rule."""
        return Rule(self.hash, self.mask, self.exclude, self.rename, self.path)

    def declared(self) -> Declared:
        """What the entry declares. Raises ContractError."""
        return declared(self.type, self.from_, self.required)


def _checked(columns: Mapping[str, ColumnConfig]) -> Mapping[str, ColumnConfig]:
    for name, column in columns.items():
        try:
            check_rule(name, column.rule())
            check_declared(name, column.declared(), column.rule())
        except PathError as error:
            raise refuse(f"This is not a path: {error.problem}.", error.hint, name) from None
        except (RuleError, ContractError) as error:
            raise refuse(error.problem, error.hint, name) from None
    try:
        _rules(columns, "keep")
    except RuleError as error:
        raise refuse(error.problem, error.hint) from None
    return columns


def _rules(columns: Mapping[str, ColumnConfig], unlisted: Literal["keep", "exclude"]) -> Rules:
    """The entries as rules. Raises RuleError if they contradict each other."""
    return Rules.of({name: column.rule() for name, column in columns.items()}, unlisted)


ColumnEntries = Annotated[Mapping[str, ColumnConfig], AfterValidator(_checked)]


class TableColumns(Section):
    """What becomes of a table's attributes."""

    columns: ColumnEntries = Field(
        default_factory=dict,
        description="What becomes of single attributes, by their names or by paths such as "
        "info.secret: see docs/tables.md.",
    )
    unlisted: Literal["keep", "exclude"] = Field(
        default="keep",
        description="What becomes of attributes without an entry in columns; the key always stays.",
    )

    contract: Literal["evolve", "freeze", "quarantine", "fail"] = Field(
        default="evolve",
        description="What becomes of values that do not fit what columns declares, and of new "
        "attributes: see docs/tables.md.",
    )

    def declarations(self) -> Contract:
        """What the table's columns are declared to be."""
        entries = {name: (each.declared(), each.rule()) for name, each in self.columns.items()}
        return Contract.of(entries, Policy(self.contract))

    def listed(self) -> dict[str, bool]:
        """The attributes that an entry is about, and whether they can have a column of it."""
        found: dict[str, bool] = {}
        for name, column in self.columns.items():
            first, *inside = parse_path(name)
            found[str(first)] = not column.exclude if not inside else found.get(str(first), True)
        return found

    def descriptions(self) -> tuple[tuple[str, str], ...]:
        """What attributes mean that can have columns, sorted by their names."""
        paths = ((parse_path(name), column.description) for name, column in self.columns.items())
        return tuple(sorted((str(p[0]), text) for p, text in paths if text and len(p) == 1))

    def rules(self) -> Rules:
        """The rules to make rows by."""
        return _rules(self.columns, self.unlisted)
