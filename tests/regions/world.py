"""A global table of orders, its replica in a database, and the program that keeps it."""

from dataclasses import dataclass, replace
from pathlib import Path

from connector import job
from connector.core.state import TableState
from connector.pipeline.following.failover import fail_over
from tests.cli.program import Program
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, caught_up
from tests.rigs.scripted import Replication, ScriptedDynamoDB, Table, faults, global_table

WEST, EAST, NORTH = "us-west-2", "ap-southeast-2", "eu-north-1"
BOTH = f"{WEST},{EAST}"


@dataclass
class World(Replica):
    """A replica that may be read in each Region; `model` is the source of the present one."""

    group: Replication = None  # type: ignore[assignment]
    region: str = WEST

    @property
    def model(self) -> Table:
        """The source table in the present Region."""
        return self.group.tables[self.region]

    @property
    def other(self) -> ScriptedDynamoDB:
        """The second Region."""
        return self.rig.regions[EAST]

    @property
    def program(self) -> Program:
        """The program, which knows both Regions."""
        made = Program(self.folder, self.rig.url, database=self.database)
        return made.with_(AWS_REGION="", CONNECTOR_SOURCE__REGIONS=BOTH)

    def fail_over(self, region: str = EAST, yes: bool = True) -> TableState:
        """Goes on in another Region."""
        run = job.open_run(self.config(), ORDERS, command="failover", region=region)
        state = fail_over(run, region, yes)
        self.region = region
        return state

    def lost(self, region: str = WEST) -> None:
        """A Region is cut off, and answers nothing that anybody could use."""
        self.group.cut(region)
        self.service(region).faults.add(faults.unavailable(), times=10**6)
        self.service(region).calls.clear()

    def back(self, region: str = WEST) -> None:
        """The Region is there again."""
        self.service(region).faults.clear()
        self.group.heal(region)
        self.group.converge()

    def service(self, region: str) -> ScriptedDynamoDB:
        """One Region of the server."""
        return self.rig if region == self.rig.region else self.rig.regions[region]

    def sync_here(self) -> TableState:
        """A sync until it is caught up."""
        return self.sync(caught_up)


def world(
    rig: ScriptedDynamoDB,
    folder: Path,
    database: str = "",
    delay: float = 0.3,
    view: str = "NEW_AND_OLD_IMAGES",
) -> World:
    """A table in both Regions, with nothing in it."""
    group = global_table(ORDERS, SCHEMA, rig, rig.regions[EAST], delay=delay, view=view)
    settings: dict[str, object] = {"source.regions": [WEST, EAST]}
    return World(rig, folder, database=database, settings=settings, group=group)


def without(program: Program, **variables: str) -> Program:
    """The program with other Regions."""
    return replace(program, environment={**program.environment, **variables})
