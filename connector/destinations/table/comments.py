"""Descriptions of attributes, as comments on their columns."""

from collections.abc import Mapping

from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations.database import Transaction
from connector.destinations.sql import Target
from connector.destinations.state.part import Part


def describe_new(
    transaction: Transaction, target: Target, columns: Mapping[str, Column], spec: TableSpec
) -> None:
    """Comments on columns that have no comment yet."""
    for attribute, text in spec.descriptions:
        if attribute in columns:
            transaction.comment(target, columns[attribute].name, text)


def describe_view(
    transaction: Transaction, view: Target, columns: Mapping[str, Column], spec: TableSpec
) -> None:
    """Lets the columns of a view of ours have the comments that are described, and no others."""
    there = transaction.comments(view)
    texts = {columns[each].name: text for each, text in spec.descriptions if each in columns}
    for name in sorted({*there, *texts}):
        if there.get(name) != texts.get(name):
            transaction.comment(view, name, texts.get(name))


def describe(
    transaction: Transaction,
    target: Target,
    columns: Mapping[str, Column],
    have: TableSpec,
    want: TableSpec,
) -> None:
    """Changes the comments on columns from those of one spec to those of another.

    A comment that somebody else made stays where there is no description.
    """
    if not have.descriptions and not want.descriptions:
        return
    before, wanted = dict(have.descriptions), dict(want.descriptions)
    there = transaction.comments(target)
    for attribute, column in columns.items():
        text, now = wanted.get(attribute), there.get(column.name)
        if text == now or (text is None and now != before.get(attribute)):
            continue
        transaction.comment(target, column.name, text)


def undescribed(transaction: Transaction, part: Part, table: str) -> bool:
    """Whether somebody else has changed a comment that is a description."""
    columns, retired = part.state.all_columns(table)
    named = {**retired, **columns}
    actual = transaction.describe(part.header.target).columns
    there = transaction.comments(part.header.target)
    return any(
        named[attribute].name in actual and there.get(named[attribute].name) != text
        for attribute, text in (part.header.made_with() or TableSpec()).descriptions
        if attribute in named
    )
