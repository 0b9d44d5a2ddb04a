"""The DAGs of each table of a connector.yaml: one reads the whole table, the other its changes.

A table whose changes nobody follows has only the first. With several Regions there is another one,
which goes on with the table in one of them; if there is a place for exports, another one fills in
what a stream has lost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, Param, get_parsing_context

from connector.airflow.assets import table_assets
from connector.airflow.names import (
    TAG,
    failover_id,
    pool_command,
    pool_of,
    repair_id,
    snapshot_id,
    tail_id,
)
from connector.airflow.step import ConnectorOperator
from connector.airflow.steps import (
    LABEL,
    CheckPool,
    FailoverStep,
    LoadStep,
    PlanStep,
    RepairStep,
    ScanStep,
    StartSnapshot,
    TailStep,
)
from connector.config.loading import load_each
from connector.config.model import Config
from connector.destinations.registry import stand_in_url
from connector.errors import ConfigError

_START = datetime(2025, 1, 1, tzinfo=UTC)
_TAGS = [TAG, "dynamodb"]
_LABEL = "segment {{ task.segment }}{% if " + LABEL + " %}: {{ " + LABEL + " }}{% endif %}"
_ALWAYS_THERE = "default_pool"
_LOAD_FIRST = 100
_GIVE_UP = timedelta(hours=1)


def connector_dags(
    config_file: str | Path,
    *,
    aws_conn_id: str | None = None,
    destination_conn_id: str | None = None,
    every: timedelta = timedelta(minutes=5),
    tail_for: timedelta | None = None,
    snapshot_every: timedelta | None = None,
    scans_at_once: int = 8,
    pool: str | None = None,
    retries: int = 5,
    retry_delay: timedelta = timedelta(seconds=30),
) -> list[DAG]:
    """The DAGs of every configured table. This reads only the file.

    A tail ends once it has caught up, or after `every`; with `tail_for` it lasts so long. A table
    that is not followed is read again every `snapshot_every`. `pool` is that of steps that write.
    """
    loaded = _loaded(Path(config_file), destination_conn_id)
    if isinstance(loaded, ConfigError):
        # Airflow shows the last lines of the traceback: the DAG file's and this one are enough.
        raise loaded.with_traceback(None)
    (config, wrong), wanted = loaded, get_parsing_context().dag_id
    connections = _connections(config_file, aws_conn_id, destination_conn_id)
    retrying = _retrying(retries, retry_delay)
    write_pool = pool or _pool(config, destination_conn_id)
    dags: list[DAG] = []
    for table, settings in sorted(config.tables.items()):
        assets = table_assets(config, table, destination_conn_id)
        made = _TableDags(table, assets, write_pool, connections, retrying, config.source.choices)
        if wanted in (None, made.snapshot_id):
            dags.append(made.snapshot(scans_at_once, None if settings.followed else snapshot_every))
        if settings.followed and wanted in (None, made.tail_id):
            dags.append(made.tail(every, tail_for))
        if len(made.regions) > 1 and wanted in (None, made.failover_id):
            dags.append(made.failover(scans_at_once))
        if settings.followed and config.exports.url and wanted in (None, made.repair_id):
            dags.append(made.repair())
    mistakes = [_Mistakes.of(Path(config_file), wrong.values())] if wrong and not wanted else []
    return dags + mistakes


def _connections(file: str | Path, aws: str | None, destination: str | None) -> dict[str, Any]:
    return {
        "config_file": str(Path(file).absolute()),
        "aws_conn_id": aws,
        "destination_conn_id": destination,
    }


def _retrying(retries: int, delay: timedelta) -> dict[str, Any]:
    return {
        "retries": retries,
        "retry_delay": delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": max(delay, timedelta(minutes=10)),
    }


def _loaded(
    file: Path, destination_conn_id: str | None
) -> tuple[Config, dict[str, ConfigError]] | ConfigError:
    stand_in = stand_in_url(destination_conn_id) if destination_conn_id else None
    try:
        return load_each(file, to=stand_in)
    except ConfigError as error:
        return error


class _Mistakes(DAG):  # type: ignore[misc, unused-ignore]
    """Never runs: Airflow finds it beside the DAGs and shows its error as an error of the file.

    Raising the error while the file is read would remove the other tables' DAGs.
    """

    @classmethod
    def of(cls, file: Path, errors: Iterable[ConfigError]) -> "_Mistakes":
        made = cls(f"{file.stem}__mistakes", schedule=None)
        made.doc_md = "\n".join(map(str, errors))
        return made

    def validate(self) -> None:
        """Raises the mistakes; Airflow calls this for each DAG that it finds."""
        raise ConfigError(self.doc_md or "")


def _pool(config: Config, destination_conn_id: str | None) -> str | None:
    if destination_conn_id:
        return f"connector_{destination_conn_id}"
    destination = config.destination
    return pool_of(Path(destination.url.place)) if destination.backend.one_writer else None


@dataclass(frozen=True)
class _TableDags:
    """The DAGs of one table."""

    table: str
    assets: Sequence[Asset]
    pool: str | None
    connections: dict[str, Any]
    retrying: dict[str, Any]
    regions: Sequence[str] = ()
    """The Regions that it may be read in."""

    @property
    def failover_id(self) -> str:
        return failover_id(self.table)

    @property
    def snapshot_id(self) -> str:
        return snapshot_id(self.table)

    @property
    def tail_id(self) -> str:
        return tail_id(self.table)

    @property
    def repair_id(self) -> str:
        return repair_id(self.table)

    @property
    def _step(self) -> dict[str, Any]:
        return {"table": self.table, **self.connections}

    @property
    def _writes(self) -> dict[str, Any]:
        return self._step | ({"pool": self.pool} if self.pool else {})

    def snapshot(self, scans_at_once: int, every: timedelta | None = None) -> DAG:
        """Reads the whole table: plan, a scan for each segment, load."""
        description = f"Reads the whole table {self.table} and loads it"
        with self._dag(self.snapshot_id, description, _params(), every) as dag:
            self._read(self._planned(), scans_at_once)
        return dag

    def failover(self, scans_at_once: int) -> DAG:
        """Goes on with the table in another Region: a plan there, its scan, and the load."""
        description = f"Goes on with {self.table} in the replica of another Region"
        with self._dag(self.failover_id, description, _failover_params(self.regions)) as dag:
            self._read(self._planned(FailoverStep), scans_at_once)
        return dag

    def _read(self, plan: PlanStep, scans_at_once: int) -> None:
        """A scan for each segment of a plan, and their load."""
        scan = ScanStep.partial(
            task_id="scan",
            max_active_tis_per_dagrun=scans_at_once,
            map_index_template=_LABEL,
            **self._step,
        ).expand_kwargs(plan.output)
        load = LoadStep(
            task_id="load", assets=self.assets, priority_weight=_LOAD_FIRST, **self._writes
        )
        scan >> load

    def tail(self, every: timedelta, tail_for: timedelta | None) -> DAG:
        """Follows the stream; if the table is not loaded, it also starts the snapshot."""
        bound = tail_for or every
        description = f"Keeps {self.table} up to date from its changes"
        with self._dag(self.tail_id, description, schedule=every, bound=bound) as dag:
            plan = self._planned()
            start = StartSnapshot(
                task_id="start_snapshot",
                trigger_dag_id=self.snapshot_id,
                segments=plan.output,
                others=[self.failover_id] if len(self.regions) > 1 else [],
            )
            follow = TailStep(
                task_id="tail",
                assets=self.assets,
                seconds=bound.total_seconds(),
                follow=tail_for is not None,
                **self._writes,
            )
            plan >> [start, follow]
        return dag

    def repair(self) -> DAG:
        """Fills in what the stream has lost, from exports; it is only ever run by hand."""
        description = f"Fills in changes of {self.table} that its stream has lost"
        with self._dag(self.repair_id, description, _repair_params()) as dag:
            self._after_pool(RepairStep(task_id="repair", assets=self.assets, **self._writes))
        return dag

    def _dag(
        self,
        dag_id: str,
        description: str,
        params: dict[str, Param] | None = None,
        schedule: timedelta | None = None,
        bound: timedelta | None = None,
    ) -> DAG:
        """A DAG without steps. One that only a person starts is not paused: its run would wait."""
        return DAG(
            dag_id,
            description=description,
            schedule=schedule,
            start_date=_START,
            catchup=False,
            max_active_runs=1,
            is_paused_upon_creation=None if dag_id in (self.snapshot_id, self.tail_id) else False,
            # Nothing else would ever end a run if its pool does not exist.
            dagrun_timeout=bound + _GIVE_UP if bound else None,
            params=params,
            default_args=self.retrying,
            tags=_TAGS,
            doc_md=self._about(),
        )

    def _planned(self, kind: type[PlanStep] = PlanStep) -> PlanStep:
        """The plan, preceded by a check that its pool exists, which itself needs no pool."""
        plan = kind(task_id="plan", **self._writes)
        self._after_pool(plan)
        return plan

    def _after_pool(self, first: ConnectorOperator) -> None:
        if self.pool not in (None, _ALWAYS_THERE):
            CheckPool(task_id="pool", retries=0) >> first

    def _about(self) -> str:
        about = f"Created by connector for the DynamoDB table `{self.table}`."
        if not self.pool:
            return about
        return (
            f"{about} Its steps wait for a slot of the pool `{self.pool}`; to create it, run "
            f"`{pool_command(self.pool)}`."
        )


def _repair_params() -> dict[str, Param]:
    return {
        "minutes": Param(
            60,
            type="integer",
            minimum=1,
            title="Minutes",
            description="How long to read on at most; the tail goes on from there.",
        ),
    }


def _params() -> dict[str, Param]:
    return {
        "full_refresh": Param(
            False, type="boolean", title="Full refresh", description="Read the whole table again."
        ),
        "yes": _yes("a full refresh"),
    }


def _failover_params(regions: Sequence[str]) -> dict[str, Param]:
    return {
        "region": Param(
            type="string",
            enum=list(regions),
            title="Region",
            description="The Region of the replica to go on with.",
        ),
        "yes": _yes("it"),
    }


def _yes(what: str) -> Param:
    return Param(
        False,
        type="boolean",
        title="Yes",
        description=f"Allow {what} to delete any number of rows.",
    )
