"""Load: every spooled row into the table, in one transaction."""

import logging
from collections.abc import Iterator

import pyarrow as pa

from connector.core.cursors import SEGMENT, Quarantined
from connector.core.rows import schema_of
from connector.core.schema import join_all
from connector.core.state import Committed, Load, TableState
from connector.errors import Transient
from connector.failpoints import failpoint
from connector.pipeline.scan import quarantine_limit
from connector.ports import Destination, Link, Source, Spool

log = logging.getLogger("connector.load")


def load(
    source: Source,
    destination: Destination,
    spool: Spool,
    state: TableState,
    *,
    limit: int,
    max_deleted: float | None,
) -> Committed:
    """Loads a finished scan and drops its spool.

    Raises Transient where a segment is not scanned to its end.
    """
    partitions = [SEGMENT + name for name in sorted(state.scanned)]
    links: list[Link] = []
    for partition in partitions:
        chain = list(spool.links(partition))
        if not chain or not chain[-1].until.done:
            raise Transient(
                f"The scan of {state.table} is not finished: {partition} has no end yet.",
                "Run `connector snapshot` or `connector sync` again.",
            )
        links += chain
    quarantined: list[Quarantined] = [record for link in links for record in link.quarantined]
    if len(quarantined) + state.quarantined > limit:
        raise quarantine_limit(limit)
    scanned = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal scanned
        for link in links:
            rows = link.rows()
            scanned += len(rows)
            yield rows

    committed = destination.load(
        Load(
            table=state.table,
            generation=state.generation,
            plan_id=state.plan_id,
            schema=join_all(schema_of(link.rows_schema) for link in links),
            partitions=partitions,
            scanned_until=source.now(),
            max_deleted=max_deleted,
        ),
        tables(),
        quarantined,
    )
    log.info(
        "%s: %d items scanned; %d rows loaded in commit %d, %d newer from the stream, %d deleted",
        state.table,
        scanned,
        committed.written,
        committed.commit,
        scanned - committed.written,
        committed.deleted,
    )
    failpoint("load.before_drop")
    spool.drop()
    return committed
