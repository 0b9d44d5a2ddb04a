"""One table of the scripted server and its replica in a DuckDB file: run, count, compare."""

import functools
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import adbc_driver_manager
import duckdb

from connector import job
from connector.config import loading as configuration
from connector.config.model import Config, SourceConfig
from connector.core.state import TableState
from connector.events import quiet
from connector.pipeline.following.tail import Tail
from connector.pipeline.sync import Run
from connector.pipeline.verify import Verdict, verify
from connector.sources import registry as sources
from connector.sources.dynamodb.client import SharedClients
from connector.sources.dynamodb.login.session import TALKATIVE
from connector.stop import Stop
from tests.rigs import duckdb_file
from tests.rigs.postgres import known
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB, Table

ORDERS = "orders"
SCHEMA = KeySchema(Key("id"))
PACE = {"tail.quiet_seconds": 0.04, "tail.poll_seconds": 0.02, "tail.idle_poll_seconds": 0.05}
"""Waits that cost a test little; no promise depends on their length."""


@functools.lru_cache(8)
def _clients(
    surroundings: tuple[tuple[str, str], ...],
    source: SourceConfig,
    connections: int,
    besides: frozenset[str],
) -> SharedClients:
    """Clients for all tests that log in alike: a server has the address of the one before."""
    return SharedClients(source, connections, besides=besides)


def key(text: object) -> dict[str, Any]:
    """The key of an order."""
    return {"id": {"S": str(text)}}


def order(text: object, n: object = 0) -> dict[str, Any]:
    """An order with one number."""
    return {**key(text), "n": {"N": str(n)}}


def polled(requested: Callable[[], bool]) -> Stop:
    """A run that is asked to end once this holds."""
    return Stop(requested, lambda seconds: requested())


def caught_up(tail: Tail) -> bool:
    """Until everything written before the run began is there."""
    return tail.caught_up()


@dataclass
class Replica:
    """A scripted table and the DuckDB file, or the Postgres database, that is to equal it."""

    rig: ScriptedDynamoDB
    folder: Path
    name: str = ORDERS
    settings: dict[str, object] = field(default_factory=dict)
    database: str = ""
    """The url of a Postgres database; without it, a file in the folder."""

    @property
    def file(self) -> Path:
        """The DuckDB file."""
        return self.folder / "warehouse.duckdb"

    @property
    def model(self) -> Table:
        """The source table."""
        return self.rig.model(self.name)

    def config(self) -> Config:
        """The configuration of every run."""
        overrides = {
            "source.endpoint_url": self.rig.url,
            "scan.segments": 1,
            **PACE,
            **self.settings,
        }
        return configuration.load(
            None,
            to=self.database or f"duckdb:///{self.file}",
            tables=[self.name],
            environment={},
            overrides=overrides,
        )

    def run(self, stop: Stop | None = None) -> Run:
        """A new run: what it does not find in the file or in the spool, it does not know."""
        config = self.config()
        shared = self.shared(config)
        return job.open_run(config, self.name, stop=stop, command="test", shared=shared)

    def shared(self, config: Config) -> job.Shared:
        """What runs share: their clients, which know nothing of a table, and nothing else."""
        if any(logging.getLogger(name).isEnabledFor(logging.DEBUG) for name in TALKATIVE):
            # Whoever logs in keeps these from showing items; whose clients are there does not.
            _clients.cache_clear()
        surroundings = tuple(sorted((n, v) for n, v in os.environ.items() if n.startswith("AWS_")))
        connections = config.tail.readers + 1
        besides = sources.besides(config)
        return job.Shared(_clients(surroundings, config.source, connections, besides))

    def sync(self, until: Callable[[Tail], bool] = caught_up) -> TableState:
        """One run of sync."""
        return self.run().sync(until)

    def state(self) -> TableState:
        """What the destination remembers."""
        state = job.open_destination(self.config()).read(self.name)
        assert state is not None
        return state

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, read by the database itself."""
        if self.database:
            return known(self.database).by_hand(query)
        return duckdb_file.read(self.file, query)

    def by_hand(self, statement: str) -> None:
        """Changes the destination as another user of it would."""
        if self.database:
            known(self.database).by_hand(statement)
            return
        with duckdb_file.opened(self.file) as connection:
            connection.execute(statement)

    def numbers(self) -> dict[str, int | None]:
        """The orders' numbers by id, as they stand in the table."""
        return dict(self._rows())

    def _rows(self) -> list[tuple[str, int | None]]:
        try:
            return [(each, n) for each, n in self.sql("SELECT id, n FROM orders")]
        except (duckdb.Error, adbc_driver_manager.Error):
            if "n" in self.state().columns:
                raise
        return [(each, None) for (each,) in self.sql("SELECT id FROM orders")]

    def truth(self) -> dict[str, int | None]:
        """The orders' numbers by id, as the source has them."""
        return {
            item["id"]["S"]: int(item["n"]["N"]) if "n" in item else None
            for item in self.model.items()
        }

    def verdict(self) -> Verdict:
        """What `connector verify` finds."""
        run, state = self.run(), self.state()
        return verify(
            run.pages,
            run.lookup,
            run.destination,
            state,
            segments=2,
            tail=lambda: None,
            listener=quiet,
            ruling=run.ruling(state),
        )

    def assert_equal(self) -> None:
        """Source and table hold the same orders, each exactly once."""
        rows = self._rows()
        assert dict(rows) == self.truth()
        assert len(rows) == len(self.model)


def change(replica: Replica, round_: int = 1) -> None:
    """Every kind of write, on old orders and on new ones."""
    replica.model.put(*(order(n, round_) for n in range(0, 10)))
    replica.model.put(*(order(f"new {round_} {n}", round_) for n in range(5)))
    replica.model.delete(*(key(n) for n in range(10, 15)))


def tampered(**members: object) -> bytes:
    """A JSON body with these members."""
    return json.dumps(members).encode()
