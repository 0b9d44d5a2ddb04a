"""A table goes on from other shards than before; its rows stay as they are."""

from connector.core.cursors import SHARD, carried
from connector.core.spec import TableSpec
from connector.core.state import Mend, TableState
from connector.destinations.commits.step import moved
from connector.destinations.state.store import State
from connector.stop import MACHINE


def mended(state: State, mend: Mend) -> TableState:
    """The state with other cursors. Raises CursorMoved if another plan is current."""
    header = state.header(mend.table) if state.exists() else None
    if header is None or header.plan_id != mend.replaces:
        raise moved(mend.table)
    before = state.cursors(mend.table)
    shards = [name for name in before if name.startswith(SHARD)]
    if shards:
        state.drop_cursors(mend.table, shards)
    recorded = (header.made_with() or TableSpec()).recorded
    known = carried(before, mend.cursors, MACHINE.now()) if recorded else {}
    state.move(mend.table, {**mend.cursors, **known})
    state.update(
        mend.table,
        plan_id=mend.plan_id,
        stream_arn=mend.identity.stream_arn,
        view_type=mend.identity.view_type,
        consistent_since=None,
        problem=None,
    )
    found = state.read(mend.table)
    assert found is not None
    return found
