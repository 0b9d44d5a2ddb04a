"""The AWS commands that export what an export lacks; only a table's owner runs them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from shlex import quote

from connector.core.state import Identity
from connector.sources.exports.export import Export
from connector.sources.exports.manifest import FOLDER, JSON

SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(hours=24)
SLACK = timedelta(hours=1)
"""The stream's horizon moves on while the commands run."""
_CALL = "aws dynamodb export-table-to-point-in-time"


def commands(export: Export, table: Identity, since: datetime, now: datetime) -> str:
    """A full export anew; or incremental ones, from the time of the export to that of the stream.

    The incremental windows begin where the export ends, and overlap with the stream by an hour.
    """
    root = export.url.rpartition(f"/{FOLDER}")[0]
    anew = f"{whole_command(table, root)}."
    incremental = window_commands(table, root, windows(export.at, min(since + SLACK, now)))
    return f"{anew} What is missing since then is in: {incremental}." if incremental else anew


def whole_command(table: Identity, root: str) -> str:
    """A full export, to a place that is `s3://bucket/prefix`."""
    return f"{_CALL} {_where(table, root)}"


def windows(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Windows of 15 minutes to 24 hours, without a hole between them, until `end` at least."""
    while begin < end:
        following = min(begin + LONGEST, max(end, begin + SHORTEST))
        yield begin, following
        begin = following


def window_commands(
    table: Identity, root: str, lacking: Iterable[tuple[datetime, datetime]]
) -> str:
    """Incremental exports of some windows, to a place that is `s3://bucket/prefix`."""
    return "; ".join(
        f"{_CALL} {_where(table, root)} --export-type INCREMENTAL_EXPORT "
        f"--incremental-export-specification ExportFromTime={shown(begin)},"
        f"ExportToTime={shown(end)},ExportViewType=NEW_AND_OLD_IMAGES"
        for begin, end in lacking
    )


def _where(table: Identity, root: str) -> str:
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    if not root.startswith("s3://"):
        bucket, prefix = "BUCKET", "PREFIX"
    place = f"--table-arn {table.table_arn} --s3-bucket {bucket}"
    if prefix:
        place += f" --s3-prefix {quote(prefix)}"
    return f"{place} --export-format {JSON}"


def shown(at: datetime) -> str:
    """A time as commands and errors spell it."""
    whole = "milliseconds" if at.microsecond else "seconds"
    return at.astimezone(UTC).isoformat(timespec=whole).replace("+00:00", "Z")
