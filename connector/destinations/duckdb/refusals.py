"""Finds the object of others that made DuckDB refuse a statement, by its message and catalog."""

import re

import duckdb

from connector.destinations.duckdb.session.connection import Connection, run
from connector.destinations.sql import Target
from connector.destinations.table.in_the_way import NotWidened, blocked, not_done
from connector.errors import ConnectorError, DestinationRefused

_HERE = "database_name = $3 AND lower(schema_name) = lower($1) AND lower({table}) = lower($2)"
_INDEXES = f"""
SELECT CASE WHEN is_unique THEN 'unique index ' ELSE 'index ' END
    || schema_name || '.' || index_name AS name, is_unique AS checks FROM duckdb_indexes()
WHERE {_HERE.format(table="table_name")} ORDER BY 1
"""
_CONSTRAINTS = f"""
SELECT constraint_type AS type, constraint_column_names AS columns, constraint_name AS name,
    constraint_text AS text, schema_name || '.' || table_name AS place,
    lower(table_name) <> lower($2) AS elsewhere
FROM duckdb_constraints() WHERE ({_HERE.format(table="table_name")})
OR ({_HERE.format(table="referenced_table")}) ORDER BY 3
"""
_GENERATED = f"""
SELECT column_name AS name FROM duckdb_columns()
WHERE {_HERE.format(table="table_name")} AND is_generated ORDER BY 1
"""
_VIEWS = f"SELECT 1 AS found FROM duckdb_views() WHERE {_HERE.format(table='view_name')}"
_NOT_NULL = re.compile(r"NOT NULL constraint failed: .*\.(?P<column>[^.]+)$")
_OF_THE_TABLE = (
    duckdb.DependencyException,
    duckdb.CatalogException,
    duckdb.BinderException,
    duckdb.NotImplementedException,
    duckdb.ConstraintException,
    duckdb.DataError,
    duckdb.InvalidInputException,
)
_TEXT_IS_NAMES = (duckdb.DependencyException, duckdb.CatalogException, duckdb.BinderException)


def is_of_a_table(cause: Exception) -> bool:
    """Whether DuckDB refuses a table, rather than the file or only for the moment."""
    late = isinstance(cause, duckdb.TransactionException) and "constraint" in str(cause).lower()
    return late or isinstance(cause, _OF_THE_TABLE)


def in_the_way(
    connection: Connection,
    target: Target,
    cause: Exception,
    widening: NotWidened | None,
    dropping: bool,
) -> ConnectorError:
    """A better error for one that a statement has met, which names what is in the way."""
    text = " ".join(str(cause).split())
    where = [target.schema, target.name, target.database]
    if run(connection, _VIEWS, where):
        return DestinationRefused(
            f"{target} is now a view, and no table can be written through it.",
            "Drop the view and restore the table, or run `connector reset TABLE` and sync again.",
        )
    found = _Found(connection, target)
    if isinstance(cause, _TEXT_IS_NAMES):
        said = f"DuckDB: {text.partition(' LINE ')[0].rstrip('.!')}"
        what = not_done(target, widening, dropping)
        return blocked(what, found.of_change(text, widening), said)
    computes = isinstance(cause, duckdb.DataError | duckdb.InvalidInputException)
    objects = found.of_computed() if computes else found.of_constraint(text)
    return blocked(not_done(target, widening), objects, f"DuckDB: {type(cause).__name__}")


class _Found:
    """What depends on a table, according to the catalog."""

    def __init__(self, connection: Connection, target: Target) -> None:
        where = [target.schema, target.name, target.database]
        self._target = target
        self._indexes = run(connection, _INDEXES, where)
        self._constraints = run(connection, _CONSTRAINTS, where)
        self._generated = [row["name"] for row in run(connection, _GENERATED, where)]

    def of_constraint(self, text: str) -> list[str]:
        """What may have refused a row."""
        if found := _NOT_NULL.search(text):
            return [f"NOT NULL of the column {found['column']} of {self._target}"]
        if "foreign key" in text.lower():
            # DuckDB does not report which one it was.
            still = "still referenced" in text
            return self._named("FOREIGN KEY", elsewhere=still)
        if "CHECK" in text:
            return [
                self._name(row)
                for row in self._constraints
                if row["type"] == "CHECK" and row["text"] in text
            ] or self._named("CHECK")
        unique = [row["name"] for row in self._indexes if row["checks"]]
        return unique + self._named("UNIQUE") + self._named("PRIMARY KEY")

    def of_computed(self) -> list[str]:
        """Objects that compute something from each row, and may have failed."""
        generated = [f"generated column {name} of {self._target}" for name in self._generated]
        return generated + [row["name"] for row in self._indexes] + self._named("CHECK")

    def of_change(self, text: str, widening: NotWidened | None) -> list[str]:
        """What may have prevented another type, or a statement."""
        generated = [name for name in self._generated if f'"{name}"' in text]
        if generated:
            return [f"generated column {name} of {self._target}" for name in generated]
        if "constraint" in text.lower() and widening is not None:
            return [self._name(r) for r in self._constraints if widening.column in r["columns"]]
        others = [self._name(row) for row in self._constraints if row["elsewhere"]]
        return [row["name"] for row in self._indexes] + others

    def _named(self, type_: str, elsewhere: bool = False) -> list[str]:
        return [
            self._name(row)
            for row in self._constraints
            if row["type"] == type_ and row["elsewhere"] == elsewhere
        ]

    def _name(self, row: dict[str, object]) -> str:
        return f"constraint {row['name']} on {row['place']}, {row['text']}"
