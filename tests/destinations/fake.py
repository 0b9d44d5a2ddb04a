"""The smallest kind of database: SQLite in memory."""

import re
import sqlite3
from contextlib import contextmanager
from datetime import datetime
from threading import RLock

import pyarrow as pa
from sqlalchemy.schema import CreateTable

from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST, Rules
from connector.destinations.database import Database, Found, Transaction
from connector.destinations.destination import DatabaseDestination
from connector.destinations.sql import quoted
from connector.destinations.state.tables import Schema, definition
from connector.destinations.table.dialect import Dialect

from .json_values import kept, plain

DIALECT = Dialect(
    rules=Rules(fold=str.lower, max_bytes=65_535, refused="\0"),
    type_of=lambda type_: type_.kind.value,
    service={CHANGED_AT: "moment", COMMIT: "number"},
    optional={REST: "json", DELETED: "flag DEFAULT false"},
    max_columns=1500,
    table_fold=str.lower,
    sent=lambda value, type_: f"plain({value}, '{type_.kind}')",
)


class FakeTransaction(Transaction):
    dialect = DIALECT

    def __init__(self, connection):
        self.run, self.run_many = connection.execute, connection.executemany
        names = "SELECT name FROM _connector.sqlite_master"
        self.schema = Schema(
            self.ask,
            listed=lambda: {name for (name,) in self.run(names)},
            create=lambda: None,
            create_table=lambda table: self.run(definition(CreateTable(table))),
        )

    def ask(self, sql, parameters=()):
        sql = re.sub(r"(\$\d+)::[A-Z]+( WITH TIME ZONE)?", r"\1", sql)
        values = [v.isoformat() if isinstance(v, datetime) else v for v in parameters]
        cursor = self.run(sql, {str(n): value for n, value in enumerate(values, 1)})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def batches(self, sql):
        if columns := list(map(pa.array, zip(*self.run(sql), strict=True))):
            yield pa.record_batch(columns, list(map(str, range(len(columns)))))

    def describe(self, target):
        found = self.run(f"PRAGMA table_info({quoted(target.name)})")
        return Found({name: type_.lower() for _, name, type_, *_ in found})

    def widen(self, target, column, type_):
        name, table = quoted(column.name), target.sql
        self.run(f"ALTER TABLE {table} ADD COLUMN _wider {DIALECT.type_of(type_)}")
        self.run(f"UPDATE {table} SET _wider = {name}")
        self.run(f"ALTER TABLE {table} DROP COLUMN {name}")
        self.run(f"ALTER TABLE {table} RENAME COLUMN _wider TO {name}")

    @contextmanager
    def staged(self, rows, name):
        self.run(f"CREATE TEMP TABLE {name} ({', '.join(map(quoted, rows.column_names))})")
        values = zip(*map(kept, rows.schema, rows.columns), strict=True)
        self.run_many(f"INSERT INTO {name} VALUES ({', '.join('?' * rows.num_columns)})", values)
        yield
        self.run(f"DROP TABLE temp.{name}")


class FakeDatabase(Database):
    dialect = DIALECT

    def __init__(self):
        self.lock = RLock()
        self.connection = sqlite3.connect(":memory:", 5.0, 1, None, False)
        self.connection.execute("ATTACH ':memory:' AS _connector")
        self.connection.create_function("plain", 2, plain, deterministic=True)

    @contextmanager
    def begin(self, more=False):
        with self.lock:
            transaction = FakeTransaction(self.connection)
            transaction.begin()
            try:
                yield transaction
            finally:
                self.connection.rollback()


class FakeDestination(DatabaseDestination):
    def __init__(self):
        self.database = FakeDatabase()
        super().__init__(self.database, "main")
