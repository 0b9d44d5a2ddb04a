"""How a transaction on the state begins, and what it says when it fails."""

from collections.abc import Sequence

from connector.destinations.database import Failure, Transaction
from connector.destinations.sql import Target
from connector.destinations.state.store import State
from connector.destinations.state.tables import SCHEMA
from connector.destinations.table.in_the_way import NotWidened
from connector.errors import ConnectorError
from connector.failpoints import failpoint


def opened(transaction: Transaction, locks: Sequence[str]) -> State:
    """The state, with locks held; a state of an earlier version is migrated first."""
    transaction.lock(locks)
    state = State(transaction.schema)
    if not state.outdated:
        return state
    # A separate transaction, which does not wait for a table's lock while it holds the state's.
    transaction.commit()
    transaction.begin()
    transaction.lock([SCHEMA])
    state = State(transaction.schema)
    if state.outdated:
        state.migrate()
    failpoint("migrate.before_commit")
    transaction.commit()
    failpoint("migrate.after_commit")
    transaction.begin()
    return opened(transaction, locks)


def reason(
    transaction: Transaction,
    step: str,
    table: str,
    cause: Exception,
    widening: NotWidened | None,
) -> ConnectorError | None:
    """The error that names what is in the way of a table; None if that is unknown."""

    def target() -> Target | None:
        state = State(transaction.schema)
        header = state.header(table) if state.exists() else None
        return transaction.at or (header.target if header else None)

    try:
        return transaction.explain(Failure(cause, widening, dropping=step == "reset"), target)
    except ConnectorError:
        # The cause matters most; without the catalog it only contains fewer names.
        return None
