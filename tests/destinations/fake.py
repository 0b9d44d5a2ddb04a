"""The smallest kind of database: SQLite in memory."""

import re
import sqlite3
from contextlib import closing, contextmanager
from functools import cache
from threading import RLock

from pydantic import SecretStr

from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST, Rules
from connector.destinations.backend import Backend, DestinationUrl
from connector.destinations.database import Database, Found, Transaction
from connector.destinations.destination import DatabaseDestination
from connector.destinations.sql import quoted
from connector.destinations.state.tables import Schema
from connector.destinations.table.dialect import Dialect

from .json_values import batches, plain, tuples


class FakeTransaction(Transaction):
    dialect = Dialect(
        rules=Rules(fold=str.lower, max_bytes=65_535, refused="\0"),
        type_of=lambda type_: type_.kind.value,
        service={CHANGED_AT: "moment", COMMIT: "number"},
        optional={REST: "json", DELETED: "flag DEFAULT false"},
        max_columns=1500,
        table_fold=str.lower,
        sent=lambda value, type_: f"plain({value}, '{type_.kind}')",
    )

    def __init__(self, connection):
        self.run, self.run_many = connection.execute, connection.executemany
        self.close = connection.rollback
        names = "SELECT name FROM _connector.sqlite_master"
        self.schema = Schema(self.ask, lambda: {name for (name,) in self.run(names)})

    def ask(self, sql, parameters=()):
        sql = re.sub(r"(\$\d+)::[A-Z]+( WITH TIME ZONE)?", r"\1", sql)
        cursor = self.run(sql, {str(n): value for n, value in enumerate(parameters, 1)})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def batches(self, sql):
        return batches(self.run(sql))

    def describe(self, target):
        found = self.run(f"PRAGMA table_info({quoted(target.name)})")
        return Found({name: type_.lower() for _, name, type_, *_ in found})

    def widen(self, target, column, type_):
        name, table = quoted(column.name), target.sql
        self.run(f"ALTER TABLE {table} ADD COLUMN _wider {self.dialect.type_of(type_)}")
        self.run(f"UPDATE {table} SET _wider = {name}")
        self.run(f"ALTER TABLE {table} DROP COLUMN {name}")
        self.run(f"ALTER TABLE {table} RENAME COLUMN _wider TO {name}")

    @contextmanager
    def staged(self, rows, name):
        self.run(f"CREATE TEMP TABLE {name} ({', '.join(map(quoted, rows.column_names))})")
        places = ", ".join("?" * rows.num_columns)
        self.run_many(f"INSERT INTO {name} VALUES ({places})", tuples(rows))
        yield
        self.run(f"DROP TABLE temp.{name}")


class FakeDatabase(Database):
    def __init__(self):
        self.lock = RLock()
        self.connection = sqlite3.connect(":memory:", 5.0, 1, None, False)
        self.connection.execute("ATTACH ':memory:' AS _connector")
        self.connection.create_function("plain", 2, plain, deterministic=True)

    @contextmanager
    def begin(self, more=False):
        with self.lock, closing(FakeTransaction(self.connection)) as transaction:
            transaction.begin()
            yield transaction


class FakeDestination(DatabaseDestination):
    def __init__(self, database=None):
        super().__init__(database or FakeDatabase(), "main")


_database = cache(lambda url: FakeDatabase())

MEMORY = Backend(
    kind="memory",
    name="Memory",
    begins="memory:",
    example="memory:here",
    is_one=lambda text: text.startswith("memory:"),
    parse=lambda text, folder: DestinationUrl("memory", None, SecretStr(text), text),
    schema="main",
    open=lambda opening, keys: FakeDestination(_database(opening.url.shown)),
)
