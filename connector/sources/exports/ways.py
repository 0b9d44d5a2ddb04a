"""The way in that an export is: every row of a table, as of the time that it was taken at."""

from connector.core.state import Identity
from connector.ports import Snapshot
from connector.sources.way import Opening, SnapshotKind


def _open(opening: Opening) -> Snapshot:
    from connector.sources.exports.source import ExportSource

    return ExportSource(opening)


def _trial(opening: Opening, table: Identity) -> str:
    from connector.sources.exports.source import ExportSource

    return ExportSource(opening).found(table)


EXPORT = SnapshotKind("export", open=_open, scans=False, trial=_trial)
