"""Migrates a state that an earlier version wrote to this version, step by step.

What a step adds is marked in `state/tables.py`, so that an older state can be read as it is. A step
runs in the transaction that records it.
"""

import functools
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from connector.core.state import STATE_VERSION
from connector.destinations.sql import quoted
from connector.destinations.state import tables as t
from connector.destinations.state.header import unreadable
from connector.destinations.state.tables import Schema, compiled
from connector.stop import MACHINE

Step = Callable[[Schema], None]


def _specs(schema: Schema) -> None:
    """Adds the generation's spec, and the list of migrations."""
    schema.create_table(t.migrations)
    _add_column(schema, t.tables.c.spec)
    _add_column(schema, t.tables.c.overflowed)
    _add_column(schema, t.columns.c.retired)


def _drift(schema: Schema) -> None:
    """Adds the history of columns."""
    schema.create_table(t.as_of(t.drift, 3))


def _regions(schema: Schema) -> None:
    """Adds the Region that a table is read in; without one, it is the configured one."""
    _add_column(schema, t.tables.c.region)


def _times(schema: Schema) -> None:
    """Adds what a merge by time needs, and the second parent of a shard."""
    _add_column(schema, t.cursors.c.adjacent)
    _add_column(schema, t.tables.c.retention)
    _add_column(schema, t.tombstones.c.micros)


def _routes(schema: Schema) -> None:
    """Adds what several targets of one table need."""
    schema.create_table(t.targets)
    schema.create_table(t.target_columns)
    _add_column(schema, t.tables.c.routed)
    _add_column(schema, t.drift.c.target)


def _add_column(schema: Schema, column: sa.Column[object]) -> None:
    table = quoted(t.SCHEMA, column.table.name)
    schema.execute(f"ALTER TABLE {table} ADD COLUMN {t.column_definition(column)}", ())


STEPS: Mapping[int, Step] = {2: _specs, 3: _drift, 4: _regions, 5: _times, 6: _routes}
"""Steps by the version that they lead to."""


def found_version(schema: Schema, names: set[str]) -> int:
    """The version of a state with these tables. Raises StateRefused if it is not a number."""
    found = schema.execute(_newest(t.migrations.name in names), ())
    versions = [each for each in found[0].values() if each is not None]
    if not all(isinstance(version, int) for version in versions):
        raise unreadable("its version is not a number")
    return max([1, *map(int, versions)])


@functools.cache
def _newest(listed: bool) -> str:
    """Selects the versions that a state has, which may have a list of migrations."""
    # Version 1 has none, and recognizes a newer state by the rows of `tables`.
    newest = [sa.select(sa.func.max(t.tables.c.state_version)).scalar_subquery()]
    if listed:
        newest.append(sa.select(sa.func.max(t.migrations.c.version)).scalar_subquery())
    return compiled(sa.select(*(each.label(f"v{n}") for n, each in enumerate(newest))))[0]


def migrate(schema: Schema, have: int) -> None:
    """Runs every step from a version to this program's."""
    for version in range(have + 1, STATE_VERSION + 1):
        STEPS[version](schema)
        record(schema, version)


def begin(schema: Schema) -> None:
    """Records the version of a state that has no tables yet."""
    _add(schema, STATE_VERSION)


def _add(schema: Schema, version: int) -> None:
    row = {"version": version, "applied_at": MACHINE.now()}
    schema.execute(*compiled(sa.insert(t.migrations).values(row)))


def record(schema: Schema, version: int) -> None:
    """Records the state's new version."""
    _add(schema, version)
    schema.execute(*compiled(sa.update(t.tables).values(state_version=version)))
