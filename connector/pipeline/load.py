"""Load: puts every spooled row into the table, in one transaction."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from connector.core.cursors import SEGMENT, Quarantined
from connector.core.rows import CHANGED_AT, REST, schema_of
from connector.core.schema import NULL, Type, join, join_all
from connector.core.spec import TableSpec
from connector.core.state import Committed, Load, TableState
from connector.core.words import counted
from connector.errors import Transient
from connector.failpoints import failpoint
from connector.pipeline.columns import report_columns, report_misfits
from connector.pipeline.scan import check_quarantine
from connector.ports import Changes, Destination, Link, Spool

log = logging.getLogger("connector.load")


def loaded_text(scanned: int, committed: Committed, how: str = "scanned") -> str:
    """What a load did, in words: how much was scanned, and where the rows come from."""
    rows = committed.written + committed.streamed
    text = f"{counted(scanned, 'item')} {how} and loaded in commit {committed.commit}: "
    text += f"the table has {counted(rows, 'row')}"
    if committed.streamed:
        share = "all" if committed.streamed == rows else f"{committed.streamed:,}"
        text += f", {share} of them written by the stream" if rows > 1 else ", by the stream"
    if committed.deleted:
        text += f"; {counted(committed.deleted, 'earlier row')} deleted"
    if committed.quarantined:
        text += f"; {counted(committed.quarantined, 'item')} quarantined"
    return text


def load(
    destination: Destination,
    spool: Spool,
    state: TableState,
    by_time: bool = False,
    *,
    now: datetime,
    limit: int,
    max_deleted: float | None,
    recent: datetime | None = None,
) -> Committed:
    """Loads a scan that finished before `now`, by the source's clock, and drops its spool.

    Where changes are merged `by_time`, its rows count as of the plan: what has changed between then
    and the page of an item is still to come. Raises Transient if a segment is not scanned to its
    end.
    """
    partitions = [SEGMENT + name for name in sorted(state.scanned)]
    links = _whole_chains(spool, state.table, partitions)
    quarantined: list[Quarantined] = [record for link in links for record in link.quarantined]
    check_quarantine(limit, quarantined, state.quarantined)
    committed = destination.load(
        Load(
            table=state.table,
            generation=state.generation,
            plan_id=state.plan_id,
            schema=join_all(schema_of(link.rows_schema) for link in links),
            partitions=partitions,
            scanned_until=now,
            max_deleted=max_deleted,
            recent=recent,
            packed=lambda known, room, of=None: _packed(links, known, room, of),
            by_time=by_time,
        ),
        _Rows(links, state.planned_at if by_time else None),
        quarantined,
    )
    _report(state, sum(link.count for link in links), committed)
    spool.drop()
    return committed


@dataclass(frozen=True)
class _Rows:
    """The rows of links, read as often as they are asked for."""

    links: Sequence[Link]
    at: datetime | None
    """When each was changed, if they do not say that themselves."""

    def __iter__(self) -> Iterator[pa.Table]:
        for link in self.links:
            yield link.rows() if self.at is None else dated(link.rows(), self.at)


def _report(state: TableState, scanned: int, committed: Committed) -> None:
    how = "read" if state.origin else "scanned"
    log.info("%s: %s", state.table, loaded_text(scanned, committed, how))
    report_columns(state.table, committed)
    report_misfits(state.table, committed, (state.spec or TableSpec()).contract)
    failpoint("load.before_drop")


def dated(rows: pa.Table, at: datetime) -> pa.Table:
    """The rows, each changed at one time."""
    times = pa.repeat(pa.scalar(at, CHANGED_AT.type), len(rows))
    return rows.set_column(rows.column_names.index(CHANGED_AT.name), CHANGED_AT, times)


def recent_since(state: TableState, changes: Changes | None, exact: bool) -> datetime | None:
    """From when on the table's own rows may be newer than what the snapshot has of their items.

    A scan that is `exact` has everything that was written before it was planned.
    """
    if changes is None or state.after_gap or state.moved or (exact and state.origin is None):
        return None
    return state.planned_at - changes.retention.overlap


def _whole_chains(spool: Spool, table: str, partitions: Sequence[str]) -> list[Link]:
    links: list[Link] = []
    for partition in partitions:
        chain = list(spool.links(partition))
        if not chain or not chain[-1].until.done:
            raise Transient(
                f"The scan of {table} is not finished: {partition} has no end yet.",
                "Run `connector snapshot` or `connector sync` again.",
            )
        links += chain
    return links


def _packed(
    links: Sequence[Link],
    known: Collection[str],
    room: int,
    of: Callable[[Mapping[str, Type]], Mapping[str, Type]] | None,
) -> dict[str, Type]:
    """The types of attributes in the links' `rest`: of known ones, and of `room` others."""
    chosen: dict[str, Type] = {}
    others = 0
    for link in links:
        if REST not in link.rows_schema.names:
            continue
        packed = link.packed() or {}
        for name, type_ in (of(packed) if of else packed).items():
            if name not in chosen and name not in known:
                if others >= room:
                    continue
                others += 1
            chosen[name] = join(chosen.get(name, NULL), type_)
    return chosen
