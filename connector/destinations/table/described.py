"""A table's columns as they are, to be compared with what is declared of them."""

from collections.abc import Collection, Iterable, Mapping

from connector.core.contracts.found import FoundColumn, FoundTable
from connector.core.names import REST
from connector.core.schema import Type
from connector.core.state import Column
from connector.destinations.database import Transaction
from connector.destinations.sql import quoted
from connector.destinations.state.header import Header
from connector.destinations.table.columns import gone, has
from connector.destinations.table.rows import live_rows


def described(
    transaction: Transaction,
    header: Header,
    columns: Mapping[str, Column],
    retired: Mapping[str, Column],
    declared: Mapping[str, Type],
    counted: Collection[str] | None,
) -> FoundTable:
    """The table as it is; the values of `counted` attributes are counted, None is all of them.

    Raises DestinationRefused if the table is gone.
    """
    target, dialect = header.target, transaction.dialect
    actual = transaction.describe(target).columns
    if not actual:
        raise gone(target)
    folded = {dialect.rules.fold(name): sql for name, sql in actual.items()}
    types = {a: folded.get(dialect.rules.fold(column.name)) for a, column in columns.items()}
    asked = [a for a in columns if types[a] and (counted is None or a in counted)]
    counts = _counts(columns[attribute].name for attribute in asked)
    live = live_rows(transaction, {**retired, **columns}, actual)
    row = transaction.ask(f"SELECT {counts} FROM {target.sql}{live}")[0]
    filled = {a: int(row[f"c{n}"]) for n, a in enumerate(asked)}
    comments = transaction.comments(target)
    each = [
        FoundColumn(
            attribute,
            column.name,
            column.type,
            types[attribute],
            dialect.type_of(column.type),
            dialect.type_of(declared[attribute]) if attribute in declared else None,
            comments.get(column.name),
            filled.get(attribute),
        )
        for attribute, column in columns.items()
    ]
    rest = has(dialect, actual, {**retired, **columns}, REST)
    keys = [key.name for key in header.row_keys]
    return FoundTable(str(target), int(row["n"]), each, keys, rest)


def _counts(names: Iterable[str]) -> str:
    """What counts all rows, as `n`, and the values of each column, as `c0`, `c1` and so on."""
    values = (f"count({quoted(name)}) AS c{place}" for place, name in enumerate(names))
    return ", ".join(["count(*) AS n", *values])
