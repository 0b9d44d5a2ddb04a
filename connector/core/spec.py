"""How a table's rows are made: fixed when a generation is planned, and stored with it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from connector.core.contracts.changed import NO_FACTS, ContractFacts, check_contract
from connector.core.contracts.contract import NO_CONTRACT, Contract, contract_of
from connector.core.names import (
    CHANGED_AT,
    CHANGES,
    COMMIT,
    DELETED,
    ENDED,
    HISTORY,
    OF_CHANGES,
    OF_HISTORY,
    REST,
)
from connector.core.routes.routes import NO_ROUTES, Routes, routes_of
from connector.core.rules.hash_key import another_key
from connector.core.rules.rules import NO_RULES, Rules, rules_of
from connector.core.words import joined
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.core.keys import KeySchema

DEFAULT_MAX_COLUMNS = 500


@dataclass(frozen=True)
class Limits:
    """What a destination can hold; by default everything."""

    nul: bool = True
    """Whether text may contain a NUL."""
    key_bytes: int | None = None
    """The most bytes that the parts of a key may have together."""


EVERYTHING = Limits()


class Deletes(StrEnum):
    """What happens to the row of a deleted item.

    `apply` deletes it. `soft` keeps it, marked `_deleted`. `ignore-ttl` keeps it, marked, if the
    item expired through its time to live, and deletes it otherwise.
    """

    APPLY = "apply"
    SOFT = "soft"
    IGNORE_TTL = "ignore-ttl"


@dataclass(frozen=True)
class TableSpec:
    """How the rows of a generation are made, and how later changes are applied to them."""

    layout: Literal["columns", "packed"] = "columns"
    max_columns: int = DEFAULT_MAX_COLUMNS
    deletes: Deletes = Deletes.APPLY
    snapshot: str = "scan"
    """The kind of source that all rows are read from; what did not remember it knew this one."""
    follow: str = "stream"
    """The kind of source that its changes are read from."""
    rules: Rules = NO_RULES
    history: bool = False
    """Whether every version of each item is kept, in `T__history`."""
    changes: bool = False
    """Whether every change is kept, in `T__changes`."""
    contract: Contract = NO_CONTRACT
    """What its columns are declared to be."""
    descriptions: tuple[tuple[str, str], ...] = ()
    """What attributes mean, by their names and sorted: the comments on their columns."""
    routes: Routes = NO_ROUTES
    """Which items go to which of several targets."""

    @property
    def packed(self) -> bool:
        """Whether all attributes except the key go to `_rest`."""
        return self.layout == "packed"

    @property
    def marks(self) -> bool:
        """Whether a row may outlive its item, marked in `_deleted`."""
        return self.deletes is not Deletes.APPLY

    @property
    def service(self) -> tuple[str, ...]:
        """The service columns that a table has or can get; no attribute may take their names."""
        names = [CHANGED_AT, COMMIT, REST]
        names += [DELETED] if self.marks else []
        names += OF_HISTORY if self.history else []
        names += OF_CHANGES if self.changes else []
        return tuple(dict.fromkeys(names))

    @property
    def beside(self) -> tuple[str, ...]:
        """What stands behind the table's name in those of the tables that it has beside it."""
        changes = (CHANGES,) if self.changes else ()
        return (*changes, HISTORY, ENDED) if self.history else changes

    @property
    def recorded(self) -> bool:
        """Whether each change counts, and not only the newest of each item."""
        return self.history or self.changes

    def check_keys(self, table: str, keys: "KeySchema") -> None:
        """Raises ConfigError if rules or contract are about the key as about no key."""
        self.rules.check_keys(table, keys)
        hashed = {key.name for key in keys if self.rules.whole(key.name).hash}
        self.contract.check_keys(table, keys, hashed)

    def room(self, columns: int, overflowed: bool) -> int:
        """How many columns may be added to the present ones.

        It is 0 once an attribute is in `_rest`, since that attribute could then be in two places.
        """
        return 0 if self.packed or overflowed else max(0, self.max_columns - columns)

    def plain(self) -> dict[str, Any]:
        """What is not as usual, as plain values, for a worker without access to the destination."""
        usual = _plain(TableSpec())
        return {name: value for name, value in _plain(self).items() if value != usual[name]}


def _plain(spec: TableSpec) -> dict[str, Any]:
    made = {
        "deletes": spec.deletes.value,
        "rules": spec.rules.plain(),
        "contract": spec.contract.plain(),
        "routes": spec.routes.plain(),
        # Rows do not depend on what columns mean.
        "descriptions": (),
    }
    return {**vars(spec), **made}


def spec_of(values: Mapping[str, Any]) -> TableSpec:
    """A spec from the fields that `plain` returns."""
    made: dict[str, Any] = {"deletes": Deletes(values.get("deletes", Deletes.APPLY))}
    if "rules" in values:
        made["rules"] = rules_of(values["rules"])
    if "contract" in values:
        made["contract"] = contract_of(values["contract"])
    if "routes" in values:
        made["routes"] = routes_of(values["routes"])
    return TableSpec(**{**values, **made})


@dataclass(frozen=True)
class Facts:
    """The facts about a table that decide whether its spec can change."""

    loading: bool = False
    has_columns: bool = False
    """Whether an attribute other than the key has a column."""
    overflowed: bool = False
    """Whether an attribute has gone to `_rest`."""
    marked: bool = False
    """Whether a row is marked as deleted."""
    marked_since_plan: bool = False
    mark_taken: bool = False
    """Whether an attribute has the column `_deleted`."""
    taken: tuple[str, ...] = ()
    """Names of the columns of a history or a log that columns of attributes have."""
    contract: ContractFacts = NO_FACTS


def check_change(
    table: str, keys: "KeySchema", have: TableSpec, want: TableSpec, facts: Facts
) -> None:
    """Raises ConfigError if the present rows cannot be converted to another spec.

    A full refresh can, unless the column of a key would get another type.
    """
    check_rules(table, keys, have.rules, want.rules)
    check_contract(table, have.contract, want.contract, facts.contract)
    check_routes(table, have.routes, want.routes)
    why = (
        _layout(have, want, facts)
        or _deletes(have, want, facts)
        or _sources(have, want, facts)
        or _beside(have, want, facts)
    )
    if why:
        raise _refused(table, have, want, *why)


def check_follow(table: str, have: TableSpec, want: TableSpec) -> None:
    """Raises ConfigError where rows that were followed one way are to be followed another way."""
    if have.follow != want.follow:
        raise _refused(table, have, want, "follow", _UNSEEN)


def no_images(table: str, spec: TableSpec) -> ConfigError:
    """The error for a table whose changes all count, and whose stream has only their keys."""
    key = "history" if spec.history else "changes"
    return ConfigError(
        f"{table}: {key} needs each item as it was after each change, which its stream does not "
        "have.",
        "Give it a stream of the view type NEW_AND_OLD_IMAGES, or set "
        f"tables.{table}.{key} to false.",
    )


def check_rules(table: str, keys: "KeySchema", have: Rules, want: Rules) -> None:
    """Raises ConfigError if rows that were made by other rules are there. Names alone may differ.

    What was hashed, masked or left out is not there any more, and what was not is there.
    """
    old, new = have.of_rows, want.of_rows
    if replace(old, key_check="") == replace(new, key_check=""):
        if old.key_check != new.key_check:
            raise another_key(table, new.hides_keys(keys))
        return
    before, now = dict(old.columns), dict(new.columns)
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    changed = [*(f"columns.{name}" for name in names)]
    changed += ["unlisted"] if old.unlisted != new.unlisted else []
    what, verb = joined(changed, last="and"), "has" if len(changed) == 1 else "have"
    raise ConfigError(
        f"{table}: {what} {verb} changed, and its rows were made by the rules as they were before.",
        f"Nothing was changed. {_read_by(table, keys, old, new)}, or set them back.",
    )


def _read_by(table: str, keys: "KeySchema", old: Rules, new: Rules) -> str:
    """What reads a table by other rules."""
    refresh = f"Run `connector snapshot {table} --full-refresh"
    if old.row_keys(keys) != new.row_keys(keys):
        return (
            f"Run `connector reset {table} --drop` and then `connector sync {table}` to read the "
            "table into a new one, since the column of its key gets another type"
        )
    if any(old.whole(key.name).hash != new.whole(key.name).hash for key in keys):
        return (
            f"{refresh} --yes` to read the table again by the new rules; no row keeps its key, "
            "hence --yes"
        )
    return f"{refresh}` to read the table again by the new rules"


def check_routes(table: str, have: Routes, want: Routes) -> None:
    """Raises ConfigError if rows that went by other routes are there."""
    if have.sealed() == want.sealed():
        return
    raise ConfigError(
        f"{table}: its routes have changed, and its rows are where the earlier ones led.",
        f"Nothing was changed. Run `connector snapshot {table} --full-refresh` to read the table "
        "again by the new routes, or set them back.",
    )


_UNSEEN = "what changed after the one ended, and before the other begins, is in neither"


def _refused(table: str, have: TableSpec, want: TableSpec, key: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{table}: {key} is now {_shown(want, key)} and was {_shown(have, key)}: {reason}.",
        f"Nothing was changed. Run `connector snapshot {table} --full-refresh` to read the "
        f"table again with the new value, or set tables.{table}.{key} back to "
        f"{_shown(have, key)}.",
    )


def _sources(have: TableSpec, want: TableSpec, facts: Facts) -> tuple[str, str] | None:
    if have.follow != want.follow:
        return "follow", _UNSEEN
    if have.snapshot != want.snapshot and facts.loading:
        return "snapshot", "the reading of it is under way, and was begun with the other value"
    return None


def _layout(have: TableSpec, want: TableSpec, facts: Facts) -> tuple[str, str] | None:
    raised = want.max_columns > have.max_columns and not want.packed
    key = "layout" if want.layout != have.layout else "max_columns"
    if key == "max_columns" and not raised:
        return None
    if facts.loading:
        return key, "its scan is under way, and was started with the other value"
    if facts.overflowed and not want.packed:
        return key, "attributes are in _rest already, and would be in columns as well"
    if key == "layout" and want.packed and facts.has_columns:
        return key, "attributes have columns already, and would be in _rest as well"
    return None


def _beside(have: TableSpec, want: TableSpec, facts: Facts) -> tuple[str, str] | None:
    key = "history" if want.history and not have.history else "changes"
    if want.beside == have.beside or not facts.taken:
        return None
    names = ", ".join(facts.taken)
    return key, f"attributes have the columns {names}, which would get other names"


def _deletes(have: TableSpec, want: TableSpec, facts: Facts) -> tuple[str, str] | None:
    if have.deletes is want.deletes:
        return None
    if want.marks and not have.marks and facts.mark_taken:
        return "deletes", "an attribute has the column _deleted, which would get another name"
    if want.deletes is Deletes.IGNORE_TTL and have.deletes is Deletes.SOFT and facts.marked:
        return "deletes", "it is unknown which of the rows marked as deleted have expired"
    if want.deletes is Deletes.APPLY and facts.loading and facts.marked_since_plan:
        return "deletes", "its scan is under way, and could bring back rows that are marked"
    return None


def _shown(spec: TableSpec, key: str) -> object:
    value: object = getattr(spec, key)
    if isinstance(value, bool):
        return str(value).lower()
    return value.value if isinstance(value, Deletes) else value
