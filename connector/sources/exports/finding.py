"""The newest full export of a table among all the exports of a folder."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from connector.core.state import Identity
from connector.core.words import counted
from connector.errors import ExportRefused
from connector.sources.exports.export import Export, open_export, read_summary
from connector.sources.exports.filling import whole_command
from connector.sources.exports.manifest import FOLDER, Summary, of_a_filter
from connector.sources.exports.storage import Storage

log = logging.getLogger("connector.sources.exports")

READERS = 16
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
NOT_EXPORTS = ("data",)
"""The folder that incremental exports share."""


def newest(
    storage: Storage, table: Identity, filtered: Callable[[Summary], bool] = lambda summary: False
) -> Export:
    """The newest completed full export of this very table below the storage's folder.

    `filtered` is asked whether one has a filter, of which manifests say nothing. Raises
    ExportRefused where there is none, or where it cannot be loaded as it is.
    """
    parent = f"{storage.at.path}/{FOLDER.rstrip('/')}"
    names = [name for name in storage.folders(parent) if name not in NOT_EXPORTS]

    def summary(name: str) -> Summary | ExportRefused | None:
        try:
            return read_summary(storage, f"{parent}/{name}")
        except ExportRefused as error:
            # It may be of any table, and of any time.
            return error

    with ThreadPoolExecutor(READERS, "export") as threads:
        found = dict(zip(names, threads.map(summary, names), strict=True))
    fitting = {
        name: each
        for name, each in found.items()
        if isinstance(each, Summary) and each.of(table) and each.full
    }
    for error in found.values():
        if isinstance(error, ExportRefused):
            log.warning("passed over: %s", error.message)
    for name in sorted(fitting, key=lambda name: (fitting[name].at or _LONG_AGO, name))[::-1]:
        if not filtered(fitting[name]):
            return open_export(storage, f"{parent}/{name}", table)
        log.warning("passed over: %s", of_a_filter(fitting[name]).message)
    raise _none(storage, table, list(found.values()))


def _none(
    storage: Storage, table: Identity, found: list[Summary | ExportRefused | None]
) -> ExportRefused:
    url = storage.at.url(f"{storage.at.path}/{FOLDER.rstrip('/')}")
    root, inside, _ = f"{storage.at.path}/".rpartition(f"/{FOLDER}")
    if inside and not found:
        return ExportRefused(
            f"There is no export in {url}.",
            f"Set exports.url to the folder that holds AWSDynamoDB/: {storage.at.url(root)}.",
        )
    hint = (
        "Take one, and run the same command again once it is complete: "
        f"{whole_command(table, storage.at.url(storage.at.path))}; exports.url is the folder that "
        "holds AWSDynamoDB/."
    )
    if not found:
        return ExportRefused(f"There is no export in {url}.", hint)
    summaries = [each for each in found if isinstance(each, Summary)]
    mine = sum(each.of(table) for each in summaries)
    kinds = {
        "of other tables": len(summaries) - mine,
        "not full": mine,
        "not complete": found.count(None),
        "damaged": len(found) - len(summaries) - found.count(None),
    }
    said = ", ".join(f"{count:,} {what}" for what, count in kinds.items() if count)
    return ExportRefused(
        f"There is no full export of {table.table_arn} in {url}: of "
        f"{counted(len(found), 'export')}, {said}.",
        hint,
    )
