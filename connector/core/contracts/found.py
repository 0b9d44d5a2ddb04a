"""What a table's columns are in a warehouse, and how they differ from what is declared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.core.contracts.contract import Declared, word_of
from connector.core.schema import Type
from connector.core.spec import TableSpec
from connector.core.words import counted

_NO_COLUMN = "there is no such column"
_NO_ENTRY = "the column has no entry"
_TYPES = "the types differ"
_CHANGED = "its type was changed"
_NO_COMMENT = "there is no comment"
_COMMENT = "the comment differs"
_REQUIRED = "required"


@dataclass(frozen=True)
class FoundColumn:
    """The column of one attribute."""

    attribute: str
    name: str
    type: Type
    """As the connector made it."""
    sql: str | None
    """Its type as the database spells it now; None if the column is gone."""
    made_sql: str
    """The same, as the connector made it."""
    declared_sql: str | None = None
    """What is declared of it, as the database would spell that."""
    comment: str | None = None
    filled: int | None = None
    """In how many rows it has a value; None if that was not counted."""


@dataclass(frozen=True)
class FoundTable:
    """A replicated table as it is."""

    target: str
    rows: int
    columns: Sequence[FoundColumn]
    keys: Sequence[str]
    """The attributes of its key."""
    rest: bool = False
    """Whether attributes are in `_rest`, which have no column."""


@dataclass(frozen=True)
class Difference:
    """One thing in which a column differs from what is declared."""

    table: str
    """The table in the warehouse."""
    attribute: str
    column: str | None
    declared: str | None
    found: str | None
    difference: str


def differences(
    spec: TableSpec, entries: Mapping[str, bool], found: FoundTable, every: Sequence[FoundTable]
) -> list[Difference]:
    """In what one of `every` target of a table differs from its spec.

    `entries` are the attributes that have an entry, and whether they can have a column at all.
    An attribute that is only described need not be in every target, and one whose column a path
    has taken can have no entry.
    """
    somewhere = {column.attribute for table in every for column in table.columns}
    there = {column.attribute: column for column in found.columns}
    named, texts = spec.contract.named, dict(spec.descriptions)
    differing: list[Difference] = []
    for attribute, has_column in entries.items():
        if not has_column:
            continue
        declared, text = named.get(attribute, Declared()), texts.get(attribute)
        column = there.get(attribute)
        if column is not None and column.sql is not None:
            differing += _in_one(found, column, declared, text)
        elif declared or column is not None or (text is not None and attribute not in somewhere):
            wanted = str(declared) if declared else None
            differing.append(Difference(found.target, attribute, None, wanted, None, _NO_COLUMN))
    for attribute, column in there.items():
        known = attribute in entries or attribute in found.keys or spec.rules.displaced(attribute)
        if not known and column.sql is not None:
            place = (found.target, attribute, column.name)
            differing.append(Difference(*place, None, column.sql, _NO_ENTRY))
    return differing


def _in_one(
    found: FoundTable, column: FoundColumn, declared: Declared, text: str | None
) -> Iterator[Difference]:
    of, name, type_ = (found.target, column.attribute), column.name, declared.type
    if type_ is not None and column.sql != column.declared_sql:
        problem = _TYPES if column.sql == column.made_sql else _CHANGED
        yield Difference(*of, name, word_of(type_), column.sql, problem)
    elif column.sql != column.made_sql:
        yield Difference(*of, name, column.made_sql, column.sql, _CHANGED)
    empty = found.rows - column.filled if declared.required and column.filled is not None else 0
    if empty:
        problem = f"{counted(empty, 'row')} {'has' if empty == 1 else 'have'} no value"
        yield Difference(*of, name, _REQUIRED, column.sql, problem)
    if text is not None and text != column.comment:
        problem = _COMMENT if column.comment else _NO_COMMENT
        yield Difference(*of, name, text, column.comment, problem)


def advice(table: str, differing: Sequence[Difference], elsewhere: bool) -> str:
    """What can be done about differences of each kind that there is.

    `elsewhere` says whether the configuration has the columns, and not the table's own file.
    """
    kinds = {_REQUIRED if each.declared == _REQUIRED else each.difference for each in differing}
    by_kind = (
        (
            {_NO_COLUMN, _TYPES, _COMMENT, _NO_COMMENT},
            f"`connector sync {table}` applies what is declared, or says what must come first.",
        ),
        ({_CHANGED}, f"Change the type back, or run `connector reset {table}` and sync again."),
        ({_REQUIRED}, "Correct the items that lack a required value, or take `required` out."),
        (
            {_NO_ENTRY},
            f"`connector schema infer {table} --stdout` prints the missing entries."
            if elsewhere
            else f"`connector schema infer {table} --force` adds the missing entries to its file.",
        ),
    )
    return " ".join(text for these, text in by_kind if these & kinds)
