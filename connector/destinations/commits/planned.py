"""How many rows a table had when a generation was planned, which the stream changes afterwards."""

from dataclasses import replace

from connector.core.cursors import ROWS, Cursor
from connector.core.names import COMMIT
from connector.core.state import Plan
from connector.destinations.database import Transaction
from connector.destinations.sql import Target, quoted
from connector.destinations.state.store import State
from connector.destinations.table.rows import live_rows


def with_rows(
    plan: Plan, transaction: Transaction, state: State, target: Target
) -> tuple[Plan, int]:
    """The plan, with how many rows the table has now, and the newest commit among them."""
    columns, retired = state.all_columns(plan.table)
    live = live_rows(transaction, retired | columns, transaction.describe(target).columns)
    only = f" FILTER ({live.strip()})" if live else ""
    found = transaction.ask(
        f"SELECT max({quoted(COMMIT)}) AS newest, count(*){only} AS n FROM {target.sql}"
    )[0]
    if not found["n"]:
        return plan, found["newest"] or 0
    rows = Cursor(token=str(found["n"]), done=True)
    return replace(plan, cursors={**plan.cursors, ROWS: rows}), found["newest"]


def planned_rows(state: State, table: str) -> int:
    """How many rows there were at the plan; zero if an earlier version has planned it."""
    found = state.cursors(table, [ROWS]).get(ROWS)
    return int(found.token) if found and found.token else 0
