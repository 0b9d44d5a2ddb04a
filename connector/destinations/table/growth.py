"""The columns that one commit needs: grown just enough to hold its rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.core.contracts.counting import MisfitCount
from connector.core.names import COMMIT, DELETED, REST
from connector.core.schema import Type, join, join_all
from connector.core.state import Column, Load, Phase, renamed
from connector.destinations.commits.step import Step
from connector.destinations.database import Transaction
from connector.destinations.history.kept import Kept
from connector.destinations.sql import quoted
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.comments import describe_new
from connector.destinations.table.drift import Watch


@dataclass
class Growth:
    """Grows one table's columns, and saves them, inside the transaction of a step."""

    transaction: Transaction
    state: State
    step: Step
    actual: Mapping[str, str]
    """The table's current columns with their SQL types."""
    kept: Kept
    """What is kept beside the table."""
    renamed: dict[str, str] = field(default_factory=dict)
    """New columns with another name than their attribute."""

    def __post_init__(self) -> None:
        header = self.step.header
        self.table, self.target = header.table_name, header.target
        self.columns, self.retired = self.state.all_columns(self.table)
        self.rest = self.has(REST)
        # Version 0.1.0 did not record it; without `_rest` nothing can have overflowed.
        self._overflowed = self.rest if header.overflowed is None else header.overflowed
        self._left_over = False

    @property
    def room(self) -> int:
        """The number of columns that may still be added."""
        there = len(self.columns)
        room = self.step.spec.room(there, self._overflowed)
        return max(0, min(room, self.transaction.dialect.max_columns - there))

    @property
    def marks(self) -> bool:
        """Whether the table has the service column `_deleted`."""
        return self.has(DELETED)

    def has(self, service: str) -> bool:
        """Whether the table has a service column that not every table has."""
        named = self.retired | self.columns
        return table_columns.has(self.transaction.dialect, self.actual, named, service)

    def grow(self, wanted: Mapping[str, Type]) -> dict[str, Column]:
        """The columns, grown to hold `wanted` as far as there is room."""
        wanted = self._allowed(wanted)
        if self._blocked(wanted):
            self.kept.hide()
        grown = table_columns.grow(
            self.transaction,
            self.target,
            self.actual,
            self.columns,
            wanted,
            self.room,
            self.step.spec,
        )
        if grown.keys() != self.columns.keys():
            table_columns.ours_last(self.transaction, self.target, self.actual, self.columns)
        if grown != self.columns:
            self.state.save_columns(self.table, grown, self.retired)
            self.kept.grew(self.columns, grown)
            added = {name: grown[name] for name in grown.keys() - self.columns.keys()}
            describe_new(self.transaction, self.target, added, self.step.spec)
        self.step.new_columns += len(grown.keys() - self.columns.keys())
        self.renamed = renamed(grown, self.columns)
        self.step.watch = self._watch(grown)
        self.columns = grown
        return grown

    def _allowed(self, wanted: Mapping[str, Type]) -> Mapping[str, Type]:
        """The attributes that may have a column.

        A contract that adds no columns names them; if it names none, they are those that the first
        load has found.
        """
        contract, header = self.step.spec.contract, self.step.header
        first = header.generation == 1 and header.phase is Phase.LOADING
        if not contract.frozen or (first and not contract.columns):
            return wanted
        allowed = self.columns.keys() | contract.named.keys()
        return {name: type_ for name, type_ in wanted.items() if name in allowed}

    def _blocked(self, wanted: Mapping[str, Type]) -> bool:
        """Whether a view on the table may be in the way of what columns it needs."""
        if not self.step.spec.history:
            return False
        type_of, have = self.transaction.dialect.type_of, self.columns
        wider = any(
            name in have and type_of(join(have[name].type, type_)) != type_of(have[name].type)
            for name, type_ in wanted.items()
        )
        # The columns of a new table are put in order.
        first = {key.name for key in self.step.header.identity.keys}
        return wider or have.keys() <= first | self.step.spec.contract.types.keys()

    def _watch(self, grown: Mapping[str, Column]) -> Watch:
        header = self.step.header
        watch = Watch.of(
            header.row_keys,
            self.columns,
            grown,
            self.transaction.dialect.type_of,
            loaded=header.phase is not Phase.LOADING or self._had_rows(),
            loading=self.step.loading,
        )
        watch.misfits = MisfitCount(self.step.spec.contract)
        return watch

    def _had_rows(self) -> bool:
        """Whether a generation before the one that is being loaded may have left rows."""
        header = self.step.header
        if header.generation == 1 or not header.routed:
            return header.generation > 1
        # This target may be new.
        return bool(
            self.transaction.ask(
                f"SELECT 1 AS found FROM {self.target.sql} "
                f"WHERE {quoted(COMMIT)} <= CAST($1 AS BIGINT) LIMIT 1",
                [header.start_commit],
            )
        )

    def wanted(self, load: Load) -> dict[str, Type]:
        """The attributes of a load that have, or can get, a column."""
        known = self.columns.keys() | load.schema.keys()
        room = max(0, self.room - len(load.schema.keys() - self.columns.keys()))
        return join_all([load.schema, load.packed(known, room)])

    def overflowed(self) -> None:
        """Records that an attribute went to `_rest`: from now on no column is added."""
        self._left_over = True
        if self.step.header.overflowed is not True:
            self.state.update(self.table, overflowed=True)

    def tidy(self, filled: Callable[[Sequence[str]], Mapping[str, bool]]) -> None:
        """After a load, drops columns that only rows of earlier generations had filled.

        `filled` says which columns still have a value: rows that are marked as deleted keep theirs.
        """
        there = [column.name for column in self.retired.values() if column.name in self.actual]
        asked = [*there, *([REST] if self.rest and not self._left_over else [])]
        empty = [name for name, full in filled(asked).items() if not full] if asked else []
        if empty:
            self.kept.hide()
        for name in empty:
            table_columns.drop(self.transaction, self.target, name)
        if self.retired:
            kept = {
                a: c for a, c in self.retired.items() if c.name in there and c.name not in empty
            }
            self.state.save_columns(self.table, self.columns, kept)
