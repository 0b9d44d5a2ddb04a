"""Whether the rows of a table are as another contract would have made them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.core.contracts.contract import Contract, Declared, Policy
from connector.core.rules.paths import escaped
from connector.errors import ConfigError

_STRICT = (Policy.QUARANTINE, Policy.FAIL)


@dataclass(frozen=True)
class ContractFacts:
    """The facts about a table that decide whether its contract can change."""

    loading: bool = False
    overflowed: bool = False
    """Whether an attribute has gone to `_rest`."""
    unfit: bool = False
    """Whether a row may have a value that does not fit, or lacks a required one."""
    exact: frozenset[str] = field(default_factory=frozenset)
    """Attributes whose column has the newly declared type already, or of which no row has any."""
    columned: frozenset[str] = field(default_factory=frozenset)
    """Attributes with a column."""


NO_FACTS = ContractFacts()


def check_contract(table: str, have: Contract, want: Contract, facts: ContractFacts) -> None:
    """Raises ConfigError if the present rows are not as another contract would have made them."""
    if _alike(have, want):
        return
    found = _types(have, want, facts) or _policy(have, want, facts) or _listed(have, want, facts)
    if found is None:
        return
    key, before, now, reason = found
    raise ConfigError(
        f"{table}: {key} is now {now} and was {before}: {reason}.",
        f"Nothing was changed. Run `connector snapshot {table} --full-refresh` to read the table "
        f"again by the new contract, or set tables.{table}.{key} back.",
    )


_Found = tuple[str, object, object, str]


def _alike(have: Contract, want: Contract) -> bool:
    return have.policy is want.policy and have.named == want.named


def _types(have: Contract, want: Contract, facts: ContractFacts) -> _Found | None:
    for name in sorted({*have.types, *want.types}):
        before, now = have.named.get(name, Declared()), want.named.get(name, Declared())
        if (before.type, before.format) == (now.type, now.format):
            continue
        if before.type is None and name in facts.exact and not facts.loading:
            continue
        key = f"columns.{escaped(name)}.type"
        return key, _shown(before), _shown(now), "its rows were made by the type as it was before"
    return None


def _policy(have: Contract, want: Contract, facts: ContractFacts) -> _Found | None:
    if have.frozen and not want.frozen and facts.overflowed:
        reason = "attributes are in _rest already, and would be in columns as well"
        return "contract", have.policy, want.policy, reason
    # What a scan under way has spooled is not known.
    if want.policy not in _STRICT or not (facts.unfit or facts.loading):
        return None
    if have.policy not in _STRICT and want.judged:
        reason = "rows are there, or on their way, that may not fit it"
        return "contract", have.policy, want.policy, reason
    for name, entry in want.judged.items():
        if entry.required and not have.named.get(name, Declared()).required:
            reason = "rows are there, or on their way, that may have no value of it"
            return f"columns.{escaped(name)}.required", False, True, reason
    return None


def _listed(have: Contract, want: Contract, facts: ContractFacts) -> _Found | None:
    """Under `freeze`, what has an entry may have a column; it is not to be in two places."""
    if not (want.frozen and facts.overflowed):
        return None
    for name in want.named.keys() - have.named.keys() - facts.columned - facts.exact:
        reason = "attributes without an entry went to _rest, and it may be among them"
        return f"columns.{escaped(name)}", "not there", "there", reason
    return None


def _shown(entry: Declared) -> str:
    return str(Declared(entry.type, entry.format)) if entry.type else "not declared"


def newly_declared(have: Contract, want: Contract) -> Mapping[str, Declared]:
    """What is declared of columns that had no declared type before."""
    named = want.named
    return {name: named[name] for name in want.types.keys() - have.types.keys()}
