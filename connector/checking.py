"""Tries everything that runs of some tables need, and changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.config.model import Config
from connector.core.needs import Need, Wanted, tried, untried
from connector.core.rules.hash_key import VARIABLE, hash_key, no_key
from connector.core.rules.rules import Rules
from connector.core.spec import TableSpec, no_images
from connector.core.state import Identity, TableState
from connector.core.words import counted
from connector.errors import ConfigError, ConnectorError, SourceRefused
from connector.job import open_destination
from connector.regions import followed
from connector.sources.dynamodb.client import SharedClients
from connector.sources.dynamodb.needs import DESCRIBED, Trial, identity
from connector.sources.dynamodb.refused.answers import shown_difference
from connector.sources.registry import besides, follower_of, snapshot_of
from connector.sources.registry import needs as besides_table
from connector.sources.way import Opening
from connector.spool import chains as spool
from connector.stop import Stop

_MOST_AHEAD = 300.0
"""Seconds by which AWS allows a signature's time to differ from its own."""


@dataclass(frozen=True)
class _Tried:
    """One table at its source."""

    table: str
    trial: Trial
    needs: Sequence[Need]

    @property
    def answered(self) -> bool:
        """Whether AWS described the table."""
        return all(need.error is None for need in self.needs if need.check == DESCRIBED)


def check(
    config: Config,
    tables: Sequence[str],
    stop: Stop | None = None,
    credentials: Any = None,
) -> list[Need]:
    """The needs of runs of `tables`: first those they share, then each table's own."""
    shared = SharedClients(config.source, credentials=credentials, besides=besides(config))
    states = _states(config, tables)
    sources = [
        _source(config, table, stop or Stop.never(), shared, states.get(table)) for table in tables
    ]
    wanted = [each for source in sources for each in _wanted(config, source)]
    destination = list(_destination(config, wanted))
    needs = [
        Need("configuration", f"read; tables: {len(tables)}"),
        _identity(config, shared, credentials, sources),
        _clock(sources),
        *(need for need in destination if need.table is None),
        spool.check(config.spool_location()),
    ]
    for source in sources:
        needs += source.needs
        needs += [need for need in destination if need.table == source.table]
    return needs


def _wanted(config: Config, source: _Tried) -> Iterator[Wanted]:
    table, trial = source.table, source.trial
    spec = config.tables[table].spec()
    keys = spec.rules.row_keys(trial.keys) if trial.keys else trial.keys
    # Without the key of its digests, a run cannot begin.
    begins = config.tables[table].followed and not (spec.rules.hashes and hash_key() is None)
    applied = replace(spec, rules=spec.rules.keyed(hash_key())) if begins else None
    for target in config.targets(table):
        yield Wanted(table, target, keys, trial.arn, spec.rules.names, spec, applied)


def _rules(table: str, rules: Rules, trial: Trial) -> str:
    """Tries what the rules of a table need. Raises ConfigError."""
    if rules.hashes and hash_key() is None:
        raise no_key(table)
    rules.check_keys(table, trial.keys or ())
    return f"{counted(len(rules.columns), 'entry', 'entries')} in columns" + (
        f"; the key of its digests is {VARIABLE}" if rules.hashes else ""
    )


def _contract(table: str, spec: TableSpec, trial: Trial) -> str:
    """Tries what is declared of a table's columns, as far as its key is known."""
    keys, declared = trial.keys or (), len(spec.contract.judged)
    hashed = [key.name for key in keys if spec.rules.whole(key.name).hash]
    spec.contract.check_keys(table, keys, hashed)
    return f"{spec.contract.policy}; {counted(declared, 'column is', 'columns are')} declared"


def _states(config: Config, tables: Sequence[str]) -> Mapping[str, TableState | None]:
    try:
        destination = open_destination(config, command="check")
        with destination.reading():
            return {table: destination.read(table) for table in tables}
    except ConnectorError:
        # It is among the needs of the destination.
        return {}


def _images(spec: TableSpec, table: str, trial: Trial) -> Iterator[Need]:
    """Whether the stream has what is kept of each change."""
    if spec.recorded and trial.keys and not trial.images:
        error = no_images(table, spec)
        yield Need("settings", error.message, table, error)


def _source(
    config: Config, table: str, stop: Stop, shared: SharedClients, state: TableState | None
) -> _Tried:
    spec = config.tables[table].spec()
    kind = snapshot_of(spec)
    follower = follower_of(spec)
    by_key = follower.trial is not None
    config, needs = _located(config, table, state)
    trial = Trial(config.source, table, stop.sleep, shared, follower.streamed, kind.scans, by_key)
    needs += trial.needs()
    needs += _images(spec, table, trial)
    if spec.rules:
        needs.append(tried("rules", lambda: _rules(table, spec.rules, trial), table))
    if spec.contract:
        needs.append(tried("contract", lambda: _contract(table, spec, trial), table))
    if follower.trial is not None:
        described = next(need for need in needs if need.check == DESCRIBED)
        needs += _followed(config, table, stop, shared, trial, described)
    if (look := kind.trial) is not None:
        described = next(need for need in needs if need.check == DESCRIBED)

        def found() -> str:
            clients = shared.get(config.source.region)
            opening = Opening(config, table, sleep=stop.sleep, clients=clients)
            return look(opening, trial.identity)

        needs.append(
            untried(kind.kind, described) if described.error else tried(kind.kind, found, table)
        )
    for region in _others(config, trial):
        at, reads = config.source.at(region), (follower.streamed, kind.scans)
        there = Trial(at, table, stop.sleep, shared, *reads, spare=True)
        needs += (replace(need, check=f"{need.check} in {region}") for need in there.needs())
    if needs[0].error is None:
        opening = Opening(config, table, sleep=stop.sleep, clients=shared.get())
        needs += besides_table(opening, trial.identity)
    return _Tried(table, trial, needs)


def _located(config: Config, table: str, state: TableState | None) -> tuple[Config, list[Need]]:
    """The configuration in the Region that a table is read in, and whether it may be read there."""
    if not config.source.regions:
        return config, []
    try:
        planned = state.identity if state else Identity("", "", "", "", ())
        return followed(config, table, planned.region, planned.table_arn), []
    except ConfigError as error:
        return config.in_region(config.source.home), [Need("region", error.message, table, error)]


def _others(config: Config, trial: Trial) -> list[str]:
    """The other Regions to fail over to that have a replica."""
    if trial.group is None:
        return []
    others = [each for each in config.source.choices if each != trial.region]
    return [each for each in others if each in trial.group.replicas]


def _followed(
    config: Config,
    table: str,
    stop: Stop,
    shared: SharedClients,
    trial: Trial,
    described: Need,
) -> list[Need]:
    """What the table's follower needs, once the table was described."""
    kind = follower_of(config.tables[table].spec())
    assert kind.trial is not None
    if described.error:
        return [untried(kind.kind, described)]
    clients = shared.get(config.source.region)
    opening = Opening(config, table, streamed=False, sleep=stop.sleep, clients=clients)
    return list(kind.trial(opening, trial.identity))


def _identity(
    config: Config, shared: SharedClients, credentials: Any, sources: Sequence[_Tried]
) -> Need:
    found = identity(config.source, shared, credentials)
    if found.error is not None and any(source.answered for source in sources):
        # Credentials that DynamoDB accepts are good, whatever STS answers.
        return Need("identity", f"could not be determined: {found.error.message}")
    return found


def _clock(sources: Sequence[_Tried]) -> Need:
    known = [source.trial.ahead for source in sources if source.trial.ahead is not None]
    if known:
        return tried("clock", lambda: _compared(known[0]))
    failed = [n for source in sources for n in source.needs if n.check == DESCRIBED and n.error]
    if failed:
        return replace(untried("clock", failed[0]), table=None)
    return Need("clock", "not compared: no table was asked for")


def _compared(ahead: float) -> str:
    # The Date header of an answer has no fractions of seconds.
    difference = shown_difference(ahead) if abs(ahead) > 1 else ""
    sentence = f"this machine's clock differs from AWS's{difference}"
    if abs(ahead) < _MOST_AHEAD:
        return f"{sentence} ({ahead:+.0f} s)" if difference else "as AWS's, to the second"
    raise SourceRefused(
        f"{sentence[0].upper()}{sentence[1:]}.",
        "Set the clock and keep it set, for example with `timedatectl set-ntp true`: AWS accepts "
        "only requests that are signed within 5 minutes of its own time.",
    )


def _destination(config: Config, wanted: Sequence[Wanted]) -> Iterator[Need]:
    try:
        destination = open_destination(config, command="check")
    except ConnectorError as error:
        first = Need("destination", error.message, error=error)
        yield first
        yield from (untried("destination table", first, each.table) for each in wanted)
        return
    yield from destination.check(wanted)
