"""The versions of a replicated table that have ended, in a table that only grows."""

from collections.abc import Mapping
from functools import cached_property

from connector.core.modes.history import ENDED_AT, LAST
from connector.core.modes.history import ENDED_BY as ENDED_BY_FIELD
from connector.core.modes.history import OP as OP_FIELD
from connector.core.modes.history import PLACE as PLACE_FIELD
from connector.core.names import (
    CHANGED_AT,
    COMMIT,
    ENDED_BY,
    OP,
    PLACE,
    REST,
    VALID_TO,
)
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.rows import REST as REST_FIELD
from connector.core.schema import INTEGER, JSON, STRING, Type, join
from connector.core.state import Column
from connector.destinations.commits.staging import Layout
from connector.destinations.database import Transaction
from connector.destinations.history.places import changed, ended_of, taken
from connector.destinations.sql import OUTER, STAGED, STAGED_VERSIONS, Target, quoted
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.in_the_way import NotWidened
from connector.errors import DestinationRefused


class Ended:
    """`T__ended` of one table, inside a transaction."""

    def __init__(self, transaction: Transaction, table: Target) -> None:
        self._transaction = transaction
        self._dialect = transaction.dialect
        self._table = table
        self.target = ended_of(table)

    @cached_property
    def _service(self) -> dict[str, str]:
        text, number = self._dialect.type_of(STRING), self._dialect.type_of(INTEGER)
        moment = self._dialect.service[CHANGED_AT]
        return {
            CHANGED_AT: moment,
            COMMIT: number,
            OP: text,
            VALID_TO: moment,
            ENDED_BY: text,
            PLACE: number,
        }

    @property
    def actual(self) -> Mapping[str, str]:
        """The columns as they are, with their SQL types.

        Raises DestinationRefused if they are not as they were made, without those of attributes.
        """
        found = self._transaction.describe(self.target).columns
        how = "it was dropped or renamed"
        if not found or (how := table_columns.differences(found, self._service)):
            raise changed(self._table, self.target, how)
        return found

    def refuse_changed(self) -> None:
        """Raises DestinationRefused if what all versions have is not as it was made."""
        assert self.actual

    @property
    def attributes(self) -> dict[str, str]:
        """The columns of attributes, and of those without one, with their SQL types."""
        return {name: sql for name, sql in self.actual.items() if name not in self._service}

    def mine(self) -> bool:
        """Whether the table is there, and is such a table."""
        found = self._transaction.looked_at(self.target)
        return all(found.get(name) == sql for name, sql in self._service.items())

    def create(self, columns: Mapping[str, Column], rest: bool) -> None:
        """Creates the table unless it is there. Raises DestinationRefused if another one is."""
        if self._transaction.taken(self.target):
            if not self.mine():
                raise taken(self._table, [self.target])
        else:
            types = {c.name: self._dialect.type_of(c.type) for c in columns.values()}
            body = ", ".join(
                f"{quoted(name)} {sql}" for name, sql in (types | self._service).items()
            )
            self._transaction.ask(f"CREATE TABLE {self.target.sql} ({body})")
            self._transaction.index_versions(
                self.target, [column.name for column in columns.values()]
            )
        self.follow({}, columns, rest)

    def follow(
        self, before: Mapping[str, Column], columns: Mapping[str, Column], rest: bool
    ) -> None:
        """Adds and widens columns as those of the table were, which are now `columns`."""
        actual = self.actual
        new = [column for column in columns.values() if column.name not in actual]
        for first in range(0, len(new), self._dialect.columns_at_once):
            some = new[first : first + self._dialect.columns_at_once]
            self._transaction.ask(table_columns.added(self._dialect, self.target, some))
        for have, want in self.widened(before, columns):
            self._widen(have, want)
        if rest and REST not in actual:
            table_columns.add(self._transaction, self.target, REST)

    def widened(
        self, before: Mapping[str, Column], columns: Mapping[str, Column]
    ) -> list[tuple[Column, Column]]:
        """The columns that must be wider for those of the table, and what they become."""
        actual, type_of = self.actual, self._dialect.type_of
        pairs: list[tuple[Column, Column]] = []
        for attribute, column in columns.items():
            have = actual.get(column.name)
            if have is None or have == type_of(column.type):
                continue
            was = before.get(attribute)
            if was is not None and type_of(was.type) == have:
                pairs.append((was, column))
            else:
                # An earlier generation had another column of that name.
                old = Column(column.name, self._adopted(column.name, have))
                pairs.append((old, Column(column.name, join(old.type, column.type))))
        return [(old, new) for old, new in pairs if type_of(old.type) != type_of(new.type)]

    def _widen(self, have: Column, want: Column) -> None:
        try:
            self._transaction.widen(self.target, have, want.type)
        except Exception as error:
            raise NotWidened(want.name, self._dialect.type_of(want.type)) from error

    def values(
        self, columns: Mapping[str, Column], actual: Mapping[str, str], rest: bool, alias: str
    ) -> dict[str, str]:
        """A row of the table, which has the columns `actual`, as the values of a version."""
        types = self.attributes
        made = {
            column.name: self._as_kept(f"{alias}{quoted(column.name)}", column, types)
            for column in columns.values()
            if column.name in actual
        }
        if rest and REST in types:
            made[REST] = f"{alias}{quoted(REST)}"
        return made

    def _as_kept(self, value: str, column: Column, types: Mapping[str, str]) -> str:
        have, want = self._dialect.type_of(column.type), types.get(column.name)
        if have == want:
            return value
        kept = self._adopted(column.name, want)
        if self._dialect.type_of(join(kept, column.type)) != want:
            raise self._other(column.name, want)
        return self._dialect.widened(value, column.type, kept)

    def _adopted(self, name: str, sql: str | None) -> Type:
        """The type of a column. Raises DestinationRefused if we make none of it."""
        type_ = self._dialect.known().get(sql or "")
        if type_ is None:
            raise self._other(name, sql)
        return type_

    def _other(self, name: str, sql: str | None) -> DestinationRefused:
        return changed(self._table, self.target, f"{name!r} is {sql or 'gone'}")

    def end(
        self,
        values: Mapping[str, str],
        rows: str,
        ended_at: str,
        ended_by: str,
    ) -> None:
        """Adds rows of the table, which `rows` selects by the alias OUTER, as ended versions."""
        service = {
            CHANGED_AT: f"{OUTER}.{quoted(CHANGED_AT)}",
            COMMIT: f"{OUTER}.{quoted(COMMIT)}",
            OP: f"{OUTER}.{quoted(OP)}",
            VALID_TO: ended_at,
            ENDED_BY: ended_by,
            PLACE: str(LAST),
        }
        self._insert({**values, **service}, rows)

    def _insert(self, values: Mapping[str, str], rows: str) -> None:
        names = ", ".join(map(quoted, values))
        query = f"SELECT {', '.join(values.values())} FROM {rows}"
        self._transaction.insert(self.target, names, query)

    def add(self, layout: Layout, commit: int) -> None:
        """Adds the versions that are staged as STAGED_VERSIONS."""
        types = self.attributes
        by_name = {column.name: column for column in layout.columns.values()}
        values: dict[str, str] = {}
        for name, column in layout.staged.items():
            staged = f"{STAGED_VERSIONS}.{name}"
            if column in by_name:
                type_ = by_name[column].type
                sent = self._dialect.staged(staged, type_)
                values[column] = self._as_kept(sent, by_name[column], types)
            elif name == REST_FIELD:
                values[column] = self._dialect.staged(staged, JSON)
        staged_as = {
            CHANGED_AT: CHANGED_AT_FIELD,
            OP: OP_FIELD,
            VALID_TO: ENDED_AT,
            ENDED_BY: ENDED_BY_FIELD,
            PLACE: PLACE_FIELD,
        }
        values |= {name: f"{STAGED_VERSIONS}.{field.name}" for name, field in staged_as.items()}
        values[COMMIT] = str(commit)
        self.follow({}, {}, REST in values)
        self._insert(values, STAGED_VERSIONS)

    def later(self, layout: Layout, since: float) -> dict[int, int]:
        """The last times of keys, in microseconds since 1970, where the staged rows are older.

        They are by the `place` of the staged row. None is looked for before `since`, in seconds.
        """
        key = " AND ".join(
            f"later.{quoted(column.name)} = {self._dialect.staged(f'{STAGED}.{name}', column.type)}"
            for name, column in layout.keys_staged
        )
        keys = ", ".join(quoted(column.name) for _, column in layout.keys_staged)
        moments = " UNION ALL ".join(
            f"SELECT {keys}, {quoted(at)} AS at FROM {target.sql} "
            f"WHERE {quoted(at)} > to_timestamp(CAST($1 AS DOUBLE PRECISION))"
            for target, at in ((layout.target, CHANGED_AT), (self.target, VALID_TO))
        )
        found = self._transaction.ask(
            f"SELECT {STAGED}.{PLACE_FIELD.name} AS place, "
            f"{self._dialect.micros('max(later.at)')} AS micros "
            f"FROM {STAGED} JOIN ({moments}) AS later ON {key} "
            f"WHERE later.at > {STAGED}.{ENDED_AT.name} GROUP BY {STAGED}.{PLACE_FIELD.name}",
            [since],
        )
        return {int(row["place"]): int(row["micros"]) for row in found}


def same_key(layout: Layout, transaction: Transaction, staged: str) -> str:
    """A condition that a row of the table and a staged one share a key."""
    return " AND ".join(
        f"{OUTER}.{quoted(column.name)} = "
        f"{transaction.dialect.staged(f'{staged}.{name}', column.type)}"
        for name, column in layout.keys_staged
    )


def same_item(
    transaction: Transaction, state: State, layout: Layout, table: str, staged: str
) -> str:
    """A condition that a row of the table and a staged one of its key have the same item."""
    dialect = transaction.dialect
    columns, retired = state.all_columns(table)
    there = transaction.describe(layout.target).columns
    by_column = {column: name for name, column in layout.staged.items()}
    parts = [
        f"{OUTER}.{quoted(column.name)} IS NOT DISTINCT FROM "
        f"{dialect.staged(f'{staged}.{by_column[column.name]}', column.type)}"
        if column.name in by_column
        else f"{OUTER}.{quoted(column.name)} IS NULL"
        for column in (retired | columns).values()
        if column.name in there
    ]
    if layout.rest:
        rest = dialect.staged(f"{staged}.{REST_FIELD}", JSON)
        parts.append(f"{OUTER}.{quoted(REST)} IS NOT DISTINCT FROM {rest}")
    return " AND ".join(parts)
