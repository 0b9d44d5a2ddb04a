"""The columns of a replicated table: adopted, compared and widened, in any database."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from connector.core.keys import KeySchema
from connector.core.names import DELETED, OP, assign
from connector.core.schema import BINARY, INTEGER, NULL, STRING, Type, join
from connector.core.spec import Deletes, TableSpec
from connector.core.state import Column
from connector.destinations.database import Found, Transaction
from connector.destinations.sql import Target, quoted
from connector.destinations.table.dialect import Dialect
from connector.destinations.table.in_the_way import NotWidened
from connector.errors import DestinationRefused

_KEY_TYPES = {"S": STRING, "N": INTEGER, "B": BINARY}


def key_columns(dialect: Dialect, keys: KeySchema, spec: TableSpec) -> dict[str, Column]:
    """The columns that a new table starts with."""
    attributes = [key.name for key in keys]
    names = assign(attributes, {}, dialect.rules, spec.service, spec.rules.names)
    return {key.name: Column(names[key.name], _KEY_TYPES[key.tag]) for key in keys}


def _adopted_spec(transaction: Transaction, target: Target) -> TableSpec:
    """The spec that a table's service columns show: ours have a default, an attribute's none."""
    marked = transaction.has_default(target, DELETED)
    history = OP in transaction.dialect.optional and transaction.has_default(target, OP)
    return TableSpec(deletes=Deletes.SOFT if marked else Deletes.APPLY, history=history)


def adopt(
    transaction: Transaction,
    target: Target,
    found: Found,
    keys: KeySchema,
    names: Mapping[str, str] = MappingProxyType({}),
    declared: Mapping[str, Type] = MappingProxyType({}),
) -> dict[str, Column]:
    """The columns of a table that the connector created, but that has no state any more.

    `names` are those that the table's rules give to the columns of some attributes, and `declared`
    are the types of others that only a contract gives.

    Raises DestinationRefused if the connector did not create it, or if its key is another one.
    """
    dialect, fold = transaction.dialect, transaction.dialect.rules.fold
    folded = {fold(name): sql for name, sql in found.columns.items()}
    if any(folded.get(name) != sql for name, sql in dialect.service.items()):
        raise DestinationRefused(
            f"The table {target} exists and was not created by the connector.",
            "Choose another name with `into`, or drop it.",
        )
    spec = _adopted_spec(transaction, target)
    adopted = _keys_of(dialect, found, keys, spec, names)
    for key in keys:
        name = adopted[key.name].name
        type_ = dialect.adopted_key(key.tag).get(folded.get(fold(name), ""))
        if type_ is None:
            raise DestinationRefused(
                f"The table {target} exists and has another key than its source.",
                "Choose another name with `into`, or drop it.",
            )
        adopted[key.name] = Column(name, type_)
    adopted = _with_others(dialect, found, adopted, spec, names, declared)
    if not _has_key(found, adopted, keys):
        raise DestinationRefused(
            f"The table {target} exists and has another primary key than its source.",
            "Choose another name with `into`, or drop it.",
        )
    return adopted


def _with_others(
    dialect: Dialect,
    found: Found,
    keys: Mapping[str, Column],
    spec: TableSpec,
    names: Mapping[str, str],
    declared: Mapping[str, Type],
) -> dict[str, Column]:
    """The columns of the key and all others of a type that we use."""
    fold, types, adopted = dialect.rules.fold, dialect.adopted(), dict(keys)
    taken = {fold(name) for name in (*spec.service, *(c.name for c in keys.values()))}
    attributes = {fold(name): attribute for attribute, name in names.items()}
    for name, sql in found.columns.items():
        attribute = attributes.get(fold(name), name)
        if fold(name) in taken or attribute in adopted:
            continue
        type_ = declared.get(attribute)
        if type_ is not None and dialect.type_of(type_) == sql:
            adopted[attribute] = Column(name, type_)
        elif sql in types:
            adopted[attribute] = Column(name, types[sql])
    return adopted


def _keys_of(
    dialect: Dialect, found: Found, keys: KeySchema, spec: TableSpec, names: Mapping[str, str]
) -> dict[str, Column]:
    """The columns of the key, which may have been made under other names than `names`."""
    there = {*map(dialect.rules.fold, found.columns)}
    mine = {a: name for a, name in names.items() if dialect.rules.fold(name) in there}
    attributes = [key.name for key in keys]
    named = assign(attributes, {}, dialect.rules, spec.service, mine)
    return {key.name: Column(named[key.name], _KEY_TYPES[key.tag]) for key in keys}


def _has_key(found: Found, columns: Mapping[str, Column], keys: KeySchema) -> bool:
    """Whether the table has the source's key."""
    return found.key is None or found.key == tuple(columns[key.name].name for key in keys)


def refuse_changed(
    dialect: Dialect,
    target: Target,
    found: Found,
    columns: Mapping[str, Column],
    keys: KeySchema,
) -> None:
    """Raises DestinationRefused if a column or the key has been changed by somebody else."""
    if not found.columns:
        raise gone(target)
    fold = dialect.rules.fold
    folded = {fold(name): sql for name, sql in found.columns.items()}
    wanted = {column.name: dialect.type_of(column.type) for column in columns.values()}
    wanted = {fold(name): sql for name, sql in (wanted | dict(dialect.service)).items()}
    if different := differences(folded, wanted):
        raise changed_by_hand(target, different)
    if not _has_key(found, columns, keys):
        raise changed_by_hand(target, "its primary key is missing or different")


def differences(have: Mapping[str, str], want: Mapping[str, str]) -> str:
    """Which columns do not have the types that they should have; empty if all have."""
    found = [
        f"{name!r} should be {sql} and is {have.get(name, 'gone')}"
        for name, sql in want.items()
        if have.get(name) != sql
    ]
    return "; ".join(found[:5])


def same(dialect: Dialect, one: Target, other: Target) -> bool:
    """Whether two targets count as the same table, so that only one source table may use them."""
    fold = dialect.table_fold
    return (fold(one.schema), fold(one.name)) == (fold(other.schema), fold(other.name))


def gone(target: Target) -> DestinationRefused:
    """The error for a table that has disappeared since the last commit."""
    return DestinationRefused(
        f"The table {target} is gone: it, or its schema, was dropped or renamed.",
        "Rename it back or restore it, or run `connector reset TABLE` and then `connector sync "
        "TABLE`, which reads it anew.",
    )


def changed_by_hand(target: Target, how: str) -> DestinationRefused:
    """The error for a table that somebody else changed."""
    return DestinationRefused(
        f"The table {target} was changed by somebody else: {how}.",
        "Change it back, or run `connector reset TABLE` and then `connector sync TABLE`, which "
        "reads it anew.",
    )


def has(
    dialect: Dialect, actual: Mapping[str, str], columns: Mapping[str, Column], service: str
) -> bool:
    """Whether the table has a service column that not every table has."""
    fold = dialect.rules.fold
    return service in map(fold, actual) and attribute_of(dialect, columns, service) is None


def filled(
    retired: Mapping[str, Column],
    actual: Mapping[str, str],
    ask: Callable[[str], Mapping[str, object]],
) -> dict[str, Column]:
    """The retired columns that have values; `ask` evaluates a list of counts."""
    there = {attribute: c for attribute, c in retired.items() if c.name in actual}
    if not there:
        return {}
    counts = ", ".join(f"count({quoted(c.name)}) AS c{n}" for n, c in enumerate(there.values()))
    found = ask(counts)
    return {a: c for n, (a, c) in enumerate(there.items()) if found[f"c{n}"]}


def attribute_of(dialect: Dialect, columns: Mapping[str, Column], name: str) -> str | None:
    """The attribute whose column has this name, as the database compares names."""
    fold = dialect.rules.fold
    found = [a for a, column in columns.items() if fold(column.name) == fold(name)]
    return found[0] if found else None


def add(transaction: Transaction, target: Target, service: str) -> None:
    """Adds a service column that not every table has."""
    sql = f"{quoted(service)} {transaction.dialect.optional[service]}"
    transaction.ask(f"ALTER TABLE {target.sql} ADD COLUMN {sql}")


def drop(transaction: Transaction, target: Target, name: str) -> None:
    """Drops a column."""
    transaction.ask(f"ALTER TABLE {target.sql} DROP COLUMN {quoted(name)}")


def grow(
    transaction: Transaction,
    target: Target,
    actual: Mapping[str, str],
    columns: Mapping[str, Column],
    wanted: Mapping[str, Type],
    room: int,
    spec: TableSpec,
) -> dict[str, Column]:
    """Adds and widens columns until they can hold `wanted`; returns the new map.

    No more than `room` are added, under names that `spec` allows. Every value keeps its digits.
    """
    dialect = transaction.dialect
    grown = dict(columns)
    for attribute, type_ in wanted.items():
        if attribute in columns:
            grown[attribute] = _widen(transaction, target, columns[attribute], type_)
    new = [name for name, type_ in wanted.items() if name not in columns and type_ != NULL][:room]
    names = named(dialect, new, actual, columns, spec)
    grown |= {name: Column(names[name], wanted[name]) for name in new}
    for first in range(0, len(new), dialect.columns_at_once):
        some = new[first : first + dialect.columns_at_once]
        transaction.ask(added(dialect, target, [grown[name] for name in some]))
    return grown


def added(dialect: Dialect, target: Target, columns: Iterable[Column]) -> str:
    """The statement that adds columns."""
    each = [f"ADD COLUMN {quoted(one.name)} {dialect.type_of(one.type)}" for one in columns]
    return f"ALTER TABLE {target.sql} {', '.join(each)}"


def ours_last(
    transaction: Transaction,
    target: Target,
    actual: Mapping[str, str],
    columns: Mapping[str, Column],
) -> None:
    """Moves the service columns behind the columns that a new table has just got.

    A database adds columns only at the end, so they are dropped and added again. That is done only
    if the table's `actual` columns are those that the connector created, it is empty, and nothing
    that others created depends on it.
    """
    dialect = transaction.dialect
    fold = dialect.rules.fold
    ours = {*map(fold, dialect.service), *(fold(column.name) for column in columns.values())}
    if set(map(fold, actual)) != ours or not transaction.unused(target):
        return
    for name in dialect.service:
        transaction.ask(f"ALTER TABLE {target.sql} DROP COLUMN {quoted(name)}")
    for name, sql in dialect.service.items():
        transaction.ask(f"ALTER TABLE {target.sql} ADD COLUMN {quoted(name)} {sql}")


def named(
    dialect: Dialect,
    attributes: Iterable[str],
    actual: Mapping[str, str],
    columns: Mapping[str, Column],
    spec: TableSpec,
) -> dict[str, str]:
    """Names for the columns of new attributes of a table."""
    taken = {attribute: column.name for attribute, column in columns.items()}
    # A column that a user added keeps its name; an attribute of that name gets another.
    reserved = dialect.rules.reserved.union(map(dialect.rules.fold, actual))
    rules = replace(dialect.rules, reserved=reserved)
    return assign(attributes, taken, rules, spec.service, spec.rules.names)


def _widen(transaction: Transaction, target: Target, column: Column, type_: Type) -> Column:
    widened = join(column.type, type_)
    type_of = transaction.dialect.type_of
    if type_of(widened) != type_of(column.type):
        try:
            transaction.widen(target, column, widened)
        except Exception as error:
            raise NotWidened(column.name, type_of(widened)) from error
    return Column(column.name, widened)
