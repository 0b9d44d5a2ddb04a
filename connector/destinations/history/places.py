"""The tables beside a replicated one, and who else may have their names."""

from collections.abc import Iterable

from connector.core.names import CHANGES, ENDED, HISTORY
from connector.core.spec import TableSpec
from connector.destinations.sql import Target
from connector.errors import DestinationRefused


def changes_of(target: Target) -> Target:
    """The table of all changes."""
    return target.beside(target.schema, target.name + CHANGES)


def history_of(target: Target) -> Target:
    """The view of all versions."""
    return target.beside(target.schema, target.name + HISTORY)


def ended_of(target: Target) -> Target:
    """The table of the versions that have ended."""
    return target.beside(target.schema, target.name + ENDED)


def all_of(target: Target, spec: TableSpec | None) -> list[Target]:
    """A table and all that a spec puts beside it."""
    beside = spec.beside if spec else ()
    return [target, *(target.beside(target.schema, target.name + each) for each in beside)]


def changed(target: Target, beside: Target, how: str) -> DestinationRefused:
    """The error for what is kept beside a table, and was changed by somebody else."""
    return DestinationRefused(
        f"The table {beside}, which is kept beside {target}, was changed by somebody else: {how}.",
        "Change it back. Or drop it, and read the table again with `connector snapshot TABLE "
        "--full-refresh`, which makes it anew and empty.",
    )


def taken(target: Target, beside: Iterable[Target]) -> DestinationRefused:
    """The error for names that something else has."""
    names = ", ".join(map(str, beside))
    return DestinationRefused(
        f"{names} exists already, and is not what the connector keeps beside {target}.",
        "Drop it, or give the table another name with `into`.",
    )
