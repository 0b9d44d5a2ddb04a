"""A scan of single segments, in a thread, a process or a task."""

from connector.config.model import Config
from connector.core.spec import TableSpec
from connector.core.state import Scannable
from connector.events import Listener
from connector.pipeline.scan import SegmentScan
from connector.pipeline.sync import make_encoder
from connector.sources import registry
from connector.sources.dynamodb.calls import Spending
from connector.sources.dynamodb.client import Clients
from connector.sources.way import Opening
from connector.spool.chains import ArrowSpool
from connector.stop import Stop
from connector.waits import Waits

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
        encoder=make_encoder(state, config.destination.backend.limits),
        listener=listener,
        quarantine_limit=config.quarantine.limit,
        stopped=stop.requested,
    )
