"""Where every table of a state stands, in one query."""

import sqlalchemy as sa

from connector.core.publishing import Standing
from connector.core.state import Phase
from connector.destinations.state.header import unreadable
from connector.destinations.state.store import State
from connector.destinations.state.tables import Schema, compiled, tables

_CHOSEN = (tables.c.table_name, tables.c.phase, tables.c.problem, tables.c.commit)


def standings(schema: Schema) -> list[Standing]:
    """Where each table stands; none if there is no state. Raises StateRefused."""
    if not State(schema).exists():
        return []
    rows = schema.execute(*compiled(sa.select(*_CHOSEN).order_by(tables.c.table_name)))
    try:
        return [
            Standing(row["table_name"], Phase(row["phase"]), row["problem"], row["commit"])
            for row in rows
        ]
    except ValueError as error:
        raise unreadable("a table's phase is unknown") from error
