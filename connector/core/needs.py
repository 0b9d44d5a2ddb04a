"""What a run needs. Each need was tried, and is met or has the error that a run would meet."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.core.keys import KeySchema
from connector.core.spec import TableSpec
from connector.errors import ConnectorError, Fatal, Interrupted, Transient

_FIX = "Fix this, and check again."


@dataclass(frozen=True)
class Need:
    """One need of a run, and the result of trying it; `error` is None if it is met."""

    check: str
    detail: str
    table: str | None = None
    error: ConnectorError | None = None
    tried: bool = True

    def row(self) -> Mapping[str, Any]:
        """The need as a row to print."""
        return {
            "table": self.table,
            "check": self.check,
            "ok": self.error is None,
            "detail": self.detail,
            "fix": (self.error.hint or _FIX) if self.error else None,
        }


@dataclass(frozen=True)
class Wanted:
    """A table to be written, and its name in the destination; key and ARN if they are known.

    The key is that of its rows. `names` are those that rules give to the columns of attributes.
    `applied` is the spec that the next run applies to rows that are there; None if it reads all of
    them anew, or cannot begin.
    """

    table: str
    target: str
    keys: KeySchema | None = None
    arn: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    spec: TableSpec = field(default_factory=TableSpec)
    applied: TableSpec | None = None


def tried(check: str, work: Callable[[], str], table: str | None = None) -> Need:
    """The need that `work` tries; the result of `work` is the detail."""
    try:
        return Need(check, work(), table)
    except Interrupted:
        raise
    except ConnectorError as error:
        return Need(check, error.message, table, error)


def untried(check: str, after: Need, table: str | None = None) -> Need:
    """A need that cannot be tried because an earlier one is not met."""
    assert after.error is not None
    error = type(after.error)(after.error.message, f"First fix {after.check}.")
    detail = f"not tried: {after.check} failed"
    return Need(check, detail, table or after.table, error, tried=False)


def tried_after(before: Need, check: str, work: Callable[[], str]) -> Need:
    """The need of the same table that `work` tries, if an earlier need is met."""
    return untried(check, before) if before.error else tried(check, work, before.table)


def unmet(needs: Iterable[Need]) -> ConnectorError | None:
    """One error for all needs that are not met, or None.

    It is Transient if all of them may go away by themselves, else Fatal.
    """
    errors = [(need, need.error) for need in needs if need.error is not None]
    if not errors:
        return None
    passing = all(isinstance(error, Transient) for _, error in errors)
    kind: type[ConnectorError] = Transient if passing else Fatal
    roots = [(need, error) for need, error in errors if need.tried]
    if len(roots) == 1:
        error = roots[0][1]
        return kind(error.message, error.hint)
    names = [f"{need.check} of {need.table}" if need.table else need.check for need, _ in roots]
    return kind(
        f"{len(roots)} needs of a run are not met: {', '.join(names)}.",
        "`fix` says what to do about each.",
    )
