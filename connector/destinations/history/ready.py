"""Whether what is kept beside a table is, or can be, what the connector makes of it."""

from collections.abc import Mapping

from connector.core.keys import KeySchema
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.core.words import joined
from connector.destinations.database import Transaction
from connector.destinations.history.ended import Ended
from connector.destinations.history.log import Log
from connector.destinations.history.places import changed, history_of, taken
from connector.destinations.sql import Target


def refuse_kept(
    transaction: Transaction,
    table: Target,
    keys: KeySchema,
    spec: TableSpec,
    columns: Mapping[str, Column] | None,
) -> str:
    """What is kept, in words. Raises DestinationRefused if a run could not write it.

    `columns` are those of a table whose spec this is already; None if it is not there yet.
    """
    kept: list[Target] = []
    if spec.changes:
        log = Log(transaction, table, keys)
        if columns is not None:
            log.check(columns)
        elif transaction.taken(log.target) and not log.mine():
            raise taken(table, [log.target])
        kept.append(log.target)
    if spec.history:
        ended, view = Ended(transaction, table), history_of(table)
        if columns is not None:
            ended.values(columns, transaction.describe(table).columns, False, "")
        elif transaction.taken(ended.target) and not ended.mine():
            raise taken(table, [ended.target])
        if transaction.taken(view) != transaction.taken(ended.target):
            gone = changed(table, view, "it was dropped or renamed")
            raise taken(table, [view]) if columns is None else gone
        kept.append(view)
    return joined([each.name for each in kept], last="and") if kept else ""
