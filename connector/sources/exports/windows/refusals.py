"""What is missing between windows, and the AWS commands that export it."""

from datetime import datetime

from connector.core.state import Identity
from connector.errors import ExportRefused, HistoryLost, WindowsMissing
from connector.sources.exports.filling import shown, window_commands, windows
from connector.sources.exports.windows.chain import Hole


def missing(
    table: Identity, url: str, gap: Hole, until: datetime, besides: str, about: str = ""
) -> ExportRefused:
    """The error for changes that nothing has yet, but that exports can still bring."""
    return ExportRefused(*_said(table, url, gap, until, besides, about))


def hole(table: Identity, url: str, gap: Hole, until: datetime, besides: str) -> WindowsMissing:
    """The error for a hole between the windows that a table is followed by."""
    return WindowsMissing(*_said(table, url, gap, until, besides, ""))


def _said(
    table: Identity, url: str, gap: Hole, until: datetime, besides: str, about: str
) -> tuple[str, str]:
    lacking = windows(gap.begin, gap.end or until)
    begin, end = shown(gap.begin), shown(gap.end or until)
    lacks = f"covers {begin} to {end}{besides}"
    if gap.early:
        lacks = f"begins exactly at {begin}{besides}, as the first after a full export must"
    return (
        f"{about}No incremental export in {url} {lacks}, so what changed then is missing.",
        "Export it, and run the same command again once that is complete: "
        f"{window_commands(table, url, lacking)}.",
    )


def too_late(table: Identity, covered: datetime, days: int) -> HistoryLost:
    """The error for changes that can no longer be exported."""
    return HistoryLost(
        f"The changes of {table.table_arn} since {shown(covered)} are in no export here, and can "
        f"no longer be exported: point-in-time recovery keeps {days} days.",
        "Run `connector snapshot TABLE --full-refresh`; its rows stay readable until the new ones "
        "replace them.",
    )


def not_there(arn: str, url: str, begin: datetime) -> ExportRefused:
    """The error for an export that is complete, and of no use where it should be."""
    return ExportRefused(
        f"The export {arn} is complete, but in {url} no window begins at {shown(begin)}.",
        "If exports.url leads to where it was written, the table began with a full export of a "
        "time in fractions of a second: take another one with an --export-time in whole seconds.",
    )
