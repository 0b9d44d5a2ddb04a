"""How a state that an earlier version wrote becomes one of this version, a step at a time.

What a step adds is marked so in `state_tables`, so that an older state can be read as it is. A step
runs in the transaction that records it.
"""

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from connector.destinations import state_tables as t
from connector.destinations.sql import quoted
from connector.destinations.state_tables import Schema

Step = Callable[[Schema], None]


def _specs(schema: Schema) -> None:
    """What a generation was made with is remembered, and which steps were taken."""
    schema.create_table(t.migrations)
    _add_column(schema, t.tables.c.spec)
    _add_column(schema, t.tables.c.overflowed)
    _add_column(schema, t.columns.c.retired)


def _add_column(schema: Schema, column: sa.Column[object]) -> None:
    table = quoted(t.SCHEMA, column.table.name)
    schema.execute(f"ALTER TABLE {table} ADD COLUMN {t.column_definition(column)}", ())


STEPS: Mapping[int, Step] = {2: _specs}
"""By the version that each leads to."""
