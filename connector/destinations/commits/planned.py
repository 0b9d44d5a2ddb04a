"""How many rows a table had when a generation was planned, which the stream changes afterwards."""

from collections.abc import Sequence
from dataclasses import replace

from connector.core.cursors import ROWS, Cursor
from connector.core.names import COMMIT
from connector.core.state import Plan
from connector.destinations.database import Transaction
from connector.destinations.sql import Target, quoted
from connector.destinations.state.part import PartState
from connector.destinations.state.store import State
from connector.destinations.table.rows import live_rows


def with_rows(
    plan: Plan, transaction: Transaction, state: State, targets: Sequence[Target]
) -> tuple[Plan, int]:
    """The plan, with how many rows each target has now, and the newest commit among them."""
    newest = 0
    cursors = dict(plan.cursors)
    for target in targets:
        name = target.name if plan.spec.routes else ""
        own = PartState(transaction.schema, plan.table, name) if name else state
        columns, retired = own.all_columns(plan.table)
        live = live_rows(transaction, retired | columns, transaction.describe(target).columns)
        only = f" FILTER ({live.strip()})" if live else ""
        found = transaction.ask(
            f"SELECT max({quoted(COMMIT)}) AS newest, count(*){only} AS n FROM {target.sql}"
        )[0]
        newest = max(newest, found["newest"] or 0)
        if found["n"]:
            cursors[ROWS + name] = Cursor(token=str(found["n"]), done=True)
    return replace(plan, cursors=cursors), newest


def planned_rows(state: State, table: str, target: str = "") -> int:
    """How many rows there were at the plan, in one of several targets if that is named.

    Zero if an earlier version has planned it.
    """
    found = state.cursors(table, [ROWS + target]).get(ROWS + target)
    return int(found.token) if found and found.token else 0
