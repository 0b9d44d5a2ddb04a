"""Failover: goes on with a global table in the replica of another Region, and asks no other one.

What the streams of two Regions say cannot be compared, and what one has lost is nowhere to be read.
So a new generation is planned in the other Region; the rows stay readable until it is loaded.
"""

import logging

from connector.core.state import Identity, Phase, TableState
from connector.core.words import joined
from connector.errors import ConfigError, SourceRefused, TooManyDeletes, Unreachable
from connector.pipeline.sync import Run
from connector.ports import IN_STEP, Description

REPLICATION_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits for another Region to receive what is here already; AWS's own delay is about a second."""

log = logging.getLogger("connector.failover")


def fail_over(run: Run, region: str, yes: bool = False) -> TableState:
    """Lets a table be what its replica in `region` is, where the run was opened.

    What was begun there before, it finishes. `yes` allows it to delete any share of the rows.
    Raises ConfigError or SourceRefused, and changes nothing, if there is no such replica.
    """
    state = begin_there(run, region)
    if not _unfinished(run, state):
        return state
    try:
        state = run.snapshot(yes=yes)
    except TooManyDeletes as error:
        raise TooManyDeletes(
            error.message,
            f"If that is right, run `connector failover {run.table} --region {region} --yes`; "
            "until then, the rows stay as they were.",
        ) from error
    if run.followed and state.consistent_since is None:
        state = run.tail(lambda tail: tail.caught_up())
    return state


def begin_there(run: Run, region: str, plan_id: str | None = None) -> TableState:
    """Plans a generation in `region`, unless the table is there already; raises as `fail_over`.

    A `plan_id` is planned only once.
    """
    state = _planned(run)
    if state.identity.region == region:
        return _there_already(run, state, region)
    there = run.lookup.describe()
    if not state.identity.region and _same_table(state.identity, there.identity):
        return _there_already(run, state, region)
    refuse(run.table, state, there, region)
    before = state.identity.region or "the Region before"
    log.info("%s: goes on in %s instead of %s", run.table, region, before)
    return run.begin(full_refresh=True, plan_id=plan_id)


def _there_already(run: Run, state: TableState, region: str) -> TableState:
    if _unfinished(run, state):
        log.info("%s: goes on with what was begun in %s", run.table, region)
    else:
        log.warning("%s: is in %s already; nothing was done", run.table, region)
    return state


def _unfinished(run: Run, state: TableState) -> bool:
    # Until its first moment of consistency, what overtook the load may still be on its way.
    return state.phase is Phase.LOADING or (run.followed and state.consistent_since is None)


def _planned(run: Run) -> TableState:
    """The table's state. Raises ConfigError if the table was never synced."""
    state = run.destination.read(run.table)
    if state is None:
        raise ConfigError(
            f"{run.table} was never synced here, so there is nothing to fail over.",
            f"Run `connector sync {run.table}`, with the Region to begin in first in "
            "source.regions.",
        )
    return state


def refuse(table: str, state: TableState, there: Description, region: str) -> None:
    """Raises SourceRefused where what is in a Region is no replica to go on with."""
    before, now = state.identity, there.identity
    if _same_table(before, now):
        # An emulator may serve one table in every Region.
        return
    if now.keys != before.keys:
        raise SourceRefused(
            f"The table {table} in {region} has the key {_keys(there)}, so it is no replica.",
            "Check the name, the account of the credentials, and the Region.",
        )
    if there.group is None:
        raise SourceRefused(
            f"The table {table} in {region} is a table of its own, not a replica of a global one.",
            "If it is the one to go on with all the same: set source.region to "
            f"{region}, take source.regions out, and run `connector snapshot {table} "
            "--full-refresh`.",
        )
    _refuse_status(table, there, region)
    listed = list(there.group.replicas)
    if listed and before.region and before.region not in listed:
        log.warning(
            "%s: its replica in %s does not list %s, but %s",
            table,
            region,
            before.region,
            joined(listed, last="and"),
        )


def _refuse_status(table: str, there: Description, region: str) -> None:
    assert there.group is not None
    listed = there.group.replicas.get(region) or there.status
    status = listed if there.status in IN_STEP else there.status
    if status in IN_STEP:
        return
    if status == "CREATING":
        raise Unreachable(
            f"The replica of {table} in {region} is {status}.", "Wait until it is ACTIVE."
        )
    raise SourceRefused(
        f"The replica of {table} in {region} is {status}, so it misses what others write.",
        "Choose another Region of source.regions, or wait until it is ACTIVE.",
    )


def _same_table(one: Identity, other: Identity) -> bool:
    return (one.table_arn, one.table_id) == (other.table_arn, other.table_id)


def _keys(there: Description) -> str:
    return ", ".join(f"{key.name} {key.tag}" for key in there.identity.keys)
