"""Reports changes of columns and settings, once, after the commit that made them."""

import logging
from collections.abc import Iterator, Mapping

from connector.core.contracts.contract import Contract, Declared, Policy
from connector.core.rules.paths import escaped
from connector.core.rules.rules import Rules
from connector.core.spec import TableSpec
from connector.core.state import Committed, Drift, TableState
from connector.core.words import counted

log = logging.getLogger("connector.columns")

AT_ONCE = 20
"""How many columns of one commit, or settings, get a line of their own."""
_FROM_NOW_ON = "%s: %s is %s from now on; it was %s"
_NEXT = "%s: %s is %s at the next full refresh; the last one was by %s"

_Change = tuple[str, object, object]
"""The key of a setting, its value, and the earlier one."""


def report_columns(table: str, committed: Committed) -> None:
    """Logs columns that are not named after their attribute, and warns of new and wider ones.

    The item that caused a change is named by its key; values are never logged.
    """
    report_renamed(table, committed.renamed)
    for drift in committed.drift[:AT_ONCE]:
        log.warning("%s: %s", table, _text(drift))
    if len(committed.drift) > AT_ONCE:
        more = len(committed.drift) - AT_ONCE
        log.warning("%s: and %d more: see _connector.drift", table, more)


def report_misfits(
    table: str, committed: Committed, contract: Contract, told: set[str] | None = None
) -> None:
    """Warns of columns with values that do not fit, once for each that is not in `told` yet."""
    told = set() if told is None else told
    for name, count in sorted(committed.misfits.items()):
        if name not in told:
            told.add(name)
            log.warning(
                "%s: %s of %r %s fit what is declared of it, %s: see docs/tables.md#contracts",
                table,
                counted(count, "value"),
                name,
                "does not" if count == 1 else "do not",
                contract.named.get(name, Declared()),
            )


def report_renamed(table: str, renamed: Mapping[str, str]) -> None:
    """Logs attributes with the names of their columns."""
    for attribute, column in renamed.items():
        log.info("%s: the attribute %r is in the column %r", table, attribute, column)


def _text(drift: Drift) -> str:
    column = f"the column {drift.column!r}" + (f" of {drift.target}" if drift.target else "")
    if drift.before is None:
        text, cause = f"{column} is new: {drift.after}", "first seen in"
    else:
        text = f"{column} is {drift.after} instead of {drift.before}"
        cause = "because of"
    return text if drift.key is None else f"{text}, {cause} the item with the key {drift.key}"


def report_settings(state: TableState, want: TableSpec) -> None:
    """Logs what is different from now on, and what that leaves as it is."""
    have, table = state.spec, state.table
    if have is None or have == want:
        return
    found = list(_changes(have, want))
    for key, now, before in found[:AT_ONCE]:
        line = _NEXT if key == "snapshot" else _FROM_NOW_ON
        log.info(line, table, key, _said(now), _said(before))
    if len(found) > AT_ONCE:
        log.info("%s: and %d more of its settings have changed", table, len(found) - AT_ONCE)
    if have.descriptions != want.descriptions:
        log.info("%s: the descriptions of its columns have changed", table)
    looser = have.contract.policy is Policy.QUARANTINE is not want.contract.policy
    if looser and want.contract.policy is not Policy.FAIL and state.quarantined:
        log.warning(
            "%s: what the earlier contract has quarantined comes into the table when its items "
            "change; `connector verify %s --repair` writes it now",
            table,
            table,
        )


def _changes(have: TableSpec, want: TableSpec) -> Iterator[_Change]:
    for key, now in vars(want).items():
        before = getattr(have, key)
        if now == before or key in ("descriptions", "routes"):
            continue
        if isinstance(now, Rules):
            yield from _of_rules(before, now)
        elif isinstance(now, Contract):
            yield from _of_contract(before, now)
        else:
            yield key, now, before


def _of_rules(have: Rules, want: Rules) -> Iterator[_Change]:
    for name in sorted(have.names.keys() | want.names.keys()):
        before, now = (rules.names.get(name, name) for rules in (have, want))
        if before != now:
            yield f"the column of {name}", now, before


def _of_contract(have: Contract, want: Contract) -> Iterator[_Change]:
    if have.policy is not want.policy:
        yield "contract", want.policy, have.policy
    for name in sorted(have.named.keys() | want.named.keys()):
        before, now = (each.named.get(name, Declared()) for each in (have, want))
        if before != now:
            yield f"columns.{escaped(name)}", now or "not declared", before or "not declared"


def _said(value: object) -> object:
    """A setting as the configuration says it."""
    return str(value).lower() if isinstance(value, bool) else value
