"""A table whose replica begins with an export, or reads nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connector import job
from connector.pipeline.sync import Run
from connector.stop import Stop
from tests.pipeline.replica import ORDERS, Replica
from tests.rigs import exports
from tests.rigs.exports import Export

FORBIDDEN = {"Scan"}


@dataclass
class Exported(Replica):
    """A replica that is read whole from the newest export in a folder."""

    def __post_init__(self) -> None:
        self.keep()

    def keep(self, **settings: object) -> None:
        """Says how the table is kept."""
        self.settings["tables"] = {ORDERS: {"snapshot": "export", **settings}}
        self.settings["exports.url"] = (self.folder / "exports").as_uri()

    def export(self, ago: timedelta = timedelta(), **options: Any) -> Export:
        """An export of the table as it is now, that says that it is older."""
        options.setdefault("name", f"{len(list(self.folder.glob('exports/*/*'))):02}")
        at: datetime = self.model.clock.datetime() - ago
        return exports.write(self.folder / "exports", self.model, at, **options)

    def window(self, begin: datetime, end: datetime | None = None, **options: Any) -> Export:
        """An incremental export, to now unless it is told otherwise."""
        end = end or self.now()
        return exports.write_window(self.folder / "exports", self.model, begin, end, **options)

    def export_lost(self, since: datetime) -> None:
        """Three windows of 20 hours, from 20 minutes before on."""
        begin = since - timedelta(minutes=20)
        for _ in range(3):
            self.window(begin, begin + timedelta(hours=20))
            begin += timedelta(hours=20)

    def now(self) -> datetime:
        """The time at the source, in whole seconds, as exports are asked for."""
        return self.model.clock.datetime().replace(microsecond=0)

    def run_of(self, export: Export, stop: Stop | None = None) -> Run:
        """A run that is told which export to read."""
        config = self.config()
        shared = self.shared(config)
        return job.open_run(
            config, ORDERS, stop=stop, command="test", shared=shared, export=export.url
        )

    def assert_no_scan(self) -> None:
        """The table itself was not read."""
        assert self.rig.calls.count("Scan") == 0
