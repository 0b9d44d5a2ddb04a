"""The ways in that exports are: a table as of some time, and what has changed since then."""

from collections.abc import Iterator

from connector.config.model import Config
from connector.core.changes.filler import Filler
from connector.core.changes.shards import Retention
from connector.core.needs import Need
from connector.core.state import Identity, TableState
from connector.ports import Changes, Lookup, Snapshot
from connector.sources.exports.retention import LONGEST
from connector.sources.way import FollowerKind, Opening, SnapshotKind


def _open(opening: Opening) -> Snapshot:
    from connector.sources.exports.source import ExportSource

    return ExportSource(opening)


def _trial(opening: Opening, table: Identity) -> str:
    from connector.sources.exports.source import ExportSource

    return ExportSource(opening).found(table)


EXPORT = SnapshotKind("export", open=_open, scans=False, trial=_trial)


def _follow(opening: Opening) -> tuple[Lookup, Changes]:
    from connector.sources.exports.windows.follower import ExportsFollower
    from connector.sources.exports.windows.windows import Windows

    return opening.dynamodb, ExportsFollower(Windows(opening))


def _retention(state: TableState) -> Retention:
    from connector.sources.exports.windows.follower import retention_of

    return retention_of(state)


def fill(opening: Opening, changes: Changes) -> tuple[Changes, Filler]:
    """The changes of a stream, whose beginning can be filled in from incremental exports."""
    from connector.sources.exports.windows.filled import FilledChanges
    from connector.sources.exports.windows.windows import Windows

    filled = FilledChanges(changes, lambda: Windows(opening))
    return filled, filled


def needs(opening: Opening, table: Identity) -> Iterator[Need]:
    """What a table needs whose settings make it read incremental exports, or start exports."""
    settings, exports = opening.config.tables[opening.table], opening.config.exports
    wanted = EXPORTS.kind == settings.follow or settings.on_gap == "repair"
    if wanted or (exports.start and EXPORT.kind == settings.snapshot):
        from connector.sources.exports.windows.needs import needs as of_exports

        yield from of_exports(opening, table)


def besides(config: Config) -> frozenset[str]:
    """The operations that may be called besides those that are always allowed."""
    from connector.sources.exports import calls

    return calls.besides(config)


EXPORTS = FollowerKind(
    "exports", streamed=False, retention=LONGEST, open=_follow, retention_by=_retention
)
