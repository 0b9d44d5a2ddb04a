"""A scan of single segments, in a thread, a process or a task."""

from typing import TYPE_CHECKING

from connector.config.model import Config
from connector.core.rules.hash_key import hash_key
from connector.core.spec import TableSpec
from connector.core.state import Scannable
from connector.events import Listener
from connector.pipeline.scan import SegmentScan, make_encoder
from connector.sources import registry
from connector.sources.dynamodb.calls import Spending
from connector.sources.dynamodb.client import Clients
from connector.sources.way import Opening
from connector.spool.chains import ArrowSpool
from connector.stop import Stop
from connector.waits import Waits

if TYPE_CHECKING:
    from connector.core.rules.sealing import Seal

STOP_SECONDS = 20.0
"""How long a scan that was asked to end may take to finish its page."""


def segment_scan(
    config: Config,
    state: Scannable,
    listener: Listener,
    stop: Stop,
    workers: int = 1,
    clients: Clients | None = None,
    spending: Spending | None = None,
    waits: Waits | None = None,
) -> SegmentScan:
    """A scan of single segments of one table, with a source and a spool of its own.

    The configured read units are divided between `workers`, and shared with whatever else reads on
    the same `spending`.
    """
    opening = Opening(
        config,
        state.table,
        sleep=stop.sleep,
        clients=clients,
        spending=spending,
        waits=waits,
        workers=workers,
        plan=state,
    )
    return SegmentScan(
        # Of the plan, which the configuration may have overtaken.
        snapshot=registry.open_snapshot(opening, state.spec or TableSpec()),
        spool=ArrowSpool(config.spool_location(), state.table, state.plan_id),
        state=state,
        # Each worker reads the key in its own environment: no plan and no pipe holds it.
        encoder=make_encoder(state, config.destination.backend.limits, hash_key()),
        listener=listener,
        quarantine_limit=config.quarantine.limit,
        stopped=stop.requested,
        seal=_seal(state),
    )


def _seal(state: Scannable) -> "Seal | None":
    """What closes the positions in the spool, if a part of the table's key is hashed."""
    key = hash_key()
    if key is None or not (state.spec or TableSpec()).rules.hides_keys(state.identity.keys):
        return None
    from connector.core.rules.sealing import Seal

    return Seal(key, state.table)
