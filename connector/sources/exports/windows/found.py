"""The windows of one table among all the exports of a folder."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from connector.core.state import Identity
from connector.core.words import counted
from connector.errors import ExportRefused
from connector.sources.exports.export import read_summary
from connector.sources.exports.finding import NOT_EXPORTS, READERS
from connector.sources.exports.manifest import FOLDER, INCREMENTAL, Summary, check_window
from connector.sources.exports.storage import Storage
from connector.sources.exports.windows.chain import Window

log = logging.getLogger("connector.sources.exports")


@dataclass
class Found:
    """What a look at the folder has found of one table."""

    windows: list[Window] = field(default_factory=list)
    refused: list[ExportRefused] = field(default_factory=list)
    """Why exports cannot be used, each of this table or of nobody knows which."""
    pending: list[str] = field(default_factory=list)
    """The folders of exports without a summary (yet)."""
    others: int = 0
    """How many are incremental exports of other tables."""

    @property
    def besides(self) -> str:
        """What else is there, in words."""
        kinds = {"of other tables": self.others, "not complete": len(self.pending)}
        said = [f"{counted(count, 'export')} {what}" for what, count in kinds.items() if count]
        return f" ({', '.join(said)})" if said else ""


class WindowFinder:
    """Looks for the windows of one table. Summaries do not change, so each is read once."""

    def __init__(self, storage: Storage, table: Identity) -> None:
        self._storage = storage
        self._table = table
        self._parent = f"{storage.at.path}/{FOLDER.rstrip('/')}"
        self._known: dict[str, Summary] = {}
        self._told: set[str] = set()

    def folder(self, name: str) -> str:
        """The path of the folder of an export."""
        return f"{self._parent}/{name}"

    def found(self) -> Found:
        """What is there now."""
        names = [name for name in self._storage.folders(self._parent) if name not in NOT_EXPORTS]
        found = Found()
        with ThreadPoolExecutor(READERS, "export") as threads:
            for name, summary in zip(names, threads.map(self.summary, names), strict=True):
                if summary is None:
                    found.pending.append(name)
                elif isinstance(summary, ExportRefused):
                    found.refused.append(summary)
                else:
                    self._sort(name, summary, found)
        for error in found.refused:
            if error.message not in self._told:
                self._told.add(error.message)
                log.warning("passed over: %s", error.message)
        return found

    def summary(self, name: str) -> Summary | ExportRefused | None:
        """What the summary of an export says, or why it cannot be read."""
        if name not in self._known:
            try:
                summary = read_summary(self._storage, self.folder(name))
            except ExportRefused as error:
                return error
            if summary is None:
                return None
            self._known[name] = summary
        return self._known[name]

    def _sort(self, name: str, summary: Summary, found: Found) -> None:
        if summary.kind != INCREMENTAL:
            return
        if not summary.of(self._table):
            found.others += 1
            return
        try:
            begin, end = check_window(summary)
        except ExportRefused as error:
            found.refused.append(error)
        else:
            found.windows.append(Window(name, begin, end, summary))
