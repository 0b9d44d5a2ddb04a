"""Staged rows and versions, moved to where the versions before them have ended."""

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.modes.history import ENDED_AT, ENDED_BY, OP, PLACE, EndedBy, Op
from connector.core.rows import CHANGED_AT
from connector.destinations.commits.staging import Layout, key_texts


def prepared(staged: pa.Table) -> pa.Table:
    """Staged rows, each with its place; one that nothing tells the turn of was read anew."""
    defaults = {
        OP.name: pa.scalar(Op.SNAPSHOT.value),
        ENDED_BY.name: pa.scalar(EndedBy.REFRESH.value),
        ENDED_AT.name: staged.column(CHANGED_AT.name),
    }
    for name, default in defaults.items():
        staged = _with(staged, name, pc.coalesce(staged.column(name), default))
    return _with(staged, PLACE.name, pa.array(range(len(staged)), pa.int64()))


def earliest(staged: pa.Table) -> float:
    """The earliest time of the staged rows, in seconds since 1970."""
    return int(pc.min(staged.column(ENDED_AT.name).cast(pa.int64())).as_py()) / 1_000_000


def settled(
    layout: Layout,
    staged: pa.Table,
    versions: pa.Table | None,
    later: Mapping[int, int],
    unclear: Collection[int],
) -> tuple[pa.Table, pa.Table | None]:
    """Rows and versions that begin no earlier than the versions before them ended.

    `later` has those times by place, in microseconds. What is first of the places that are
    `unclear` began with a gap.
    """
    keys = key_texts(layout, staged).to_pylist()
    floors = {keys[place]: micros for place, micros in later.items()}
    of_staged = [floors.get(key) for key in keys]
    staged = _not_before(staged, of_staged)
    gaps = {keys[place] for place in unclear}
    if versions is None:
        return _after_gap(staged, [key in gaps for key in keys]), None
    of_versions = key_texts(layout, versions).to_pylist()
    firsts = [key in gaps and key not in of_versions[:n] for n, key in enumerate(of_versions)]
    versions = _after_gap(_not_before(versions, [floors.get(k) for k in of_versions]), firsts)
    rest = gaps.difference(of_versions)
    return _after_gap(staged, [key in rest for key in keys]), versions


def _not_before(rows: pa.Table, floors: list[int | None]) -> pa.Table:
    """The rows with no time before a floor, in microseconds."""
    least = pa.array(floors, pa.int64())
    for name in (CHANGED_AT.name, ENDED_AT.name):
        times = rows.column(name).combine_chunks().cast(pa.int64())
        rows = _with(rows, name, pc.max_element_wise(times, least).cast(CHANGED_AT.type))
    return rows


def _after_gap(rows: pa.Table, gaps: list[bool]) -> pa.Table:
    if not any(gaps):
        return rows
    op = pc.if_else(pa.array(gaps), pa.scalar(Op.GAP.value), rows.column(OP.name).combine_chunks())
    return _with(rows, OP.name, op)


def _with(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), rows.schema.field(name), values)
