"""The steps of a table as operators. They are thin: the work is done in `job` and `pipeline`."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from connector.airflow.names import MISSING_POOLS, pool_command
from connector.airflow.segment_log import SegmentLog
from connector.airflow.step import ConnectorOperator, Context, airflow_errors
from connector.errors import ConfigError, Interrupted
from connector.progress import Tally
from connector.stop import MACHINE, Stop

if TYPE_CHECKING:
    from connector.core.state import TableState
    from connector.pipeline.following.tail import Tail
    from connector.pipeline.sync import Run

log = logging.getLogger("connector.airflow")

LABEL = "scanned"
"""The context variable that a mapped scan's label shows beside the segment's number."""


class CheckPool(BaseOperator):
    """Fails the run if its pool does not exist; Airflow would let the other steps wait forever.

    The scheduler looks for the pool when the run starts: see `connector.airflow.plugin`.
    """

    def execute(self, context: Any) -> None:
        """Raises AirflowFailException with the command that creates the pool."""
        missing = (context["dag_run"].conf or {}).get(MISSING_POOLS)
        with airflow_errors():
            if missing:
                raise ConfigError(
                    f"The pool {missing[0]} does not exist, so the steps that write would wait "
                    "forever.",
                    f"Run `{pool_command(missing[0])}`, then clear this task.",
                )


class PlanStep(ConnectorOperator):
    """Plans a table that never was planned, or again for a full refresh; returns its segments.

    A loaded table has no segments to scan. A full refresh is planned once in each DAG run.
    """

    def step(self, context: Context, stop: Stop) -> list[dict[str, Any]]:
        """The segments to scan, each with the arguments of its scan."""
        run = self.open_run(stop, Tally(self.table))
        refresh = bool(context["params"].get("full_refresh"))
        plan_id = uuid5(NAMESPACE_URL, f"{self.dag_id}/{context['run_id']}").hex
        state = run.resynced(
            lambda: run.begin(refresh, plan_id if refresh or not run.followed else None),
            lambda: run.begin(full_refresh=True),
        )
        return self.to_scan(state)

    def to_scan(self, state: "TableState") -> list[dict[str, Any]]:
        """The segments of a plan, unless it is loaded."""
        log.info("%s: %s, generation %d", self.table, state.phase.value, state.generation)
        if state.phase.value != "loading":
            return []
        return [
            {
                "plan_id": state.plan_id,
                "segments": state.segments,
                "segment": number,
                "spec": state.spec.plain() if state.spec else None,
                **({"origin": state.origin} if state.origin else {}),
                **({"region": state.identity.region} if state.identity.region else {}),
            }
            for number in range(state.segments)
        ]


class FailoverStep(PlanStep):
    """Plans a table in the Region that the run was started with; returns its segments.

    It is planned once in each DAG run. A table that is there already is not planned again.
    """

    def step(self, context: Context, stop: Stop) -> list[dict[str, Any]]:
        """The segments to scan, each with the arguments of its scan."""
        from connector.pipeline.following.failover import begin_there

        region = str(context["params"]["region"])
        run = self.open_run(stop, Tally(self.table), region)
        plan_id = uuid5(NAMESPACE_URL, f"{self.dag_id}/{context['run_id']}").hex
        return self.to_scan(begin_there(run, region, plan_id))


class ScanStep(ConnectorOperator):
    """Scans one segment into the spool, resuming where an earlier try stopped.

    It does not open the destination, so any number of workers may run it at once.
    """

    def __init__(
        self,
        *,
        plan_id: str,
        segments: int,
        segment: int,
        spec: dict[str, Any] | None = None,
        origin: str | None = None,
        region: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.origin = origin
        self.region = region
        self.plan_id = plan_id
        self.segments = segments
        self.segment = segment

    def step(self, context: Context, stop: Stop) -> dict[str, int]:
        """The counts of this try; the label of the mapped task shows the count of all tries."""
        from connector import job
        from connector.core.spec import spec_of
        from connector.pipeline.interpreter import without_gc

        access = self.access()
        progress = SegmentLog(self.table, self.segment)
        scan = job.open_segment_scan(
            access.config,
            self.table,
            plan_id=self.plan_id,
            segments=self.segments,
            # That of the plan, since the configuration may have changed.
            spec=None if self.spec is None else spec_of(self.spec),
            origin=self.origin,
            region=self.region,
            listener=progress,
            stop=stop,
            credentials=access.credentials,
        )
        progress.goes_on_after(scan.spooled(self.segment))
        with without_gc():
            finished = scan.run(self.segment)
        progress.log()
        context[LABEL] = f"{progress.items:,} items"
        if not finished:
            raise Interrupted("The scan was asked to end.", "Its next try resumes from here.")
        return {"segment": self.segment, "items": progress.read, "bytes": progress.size}


class LoadStep(ConnectorOperator):
    """Puts a finished scan into the table, in one transaction."""

    def __init__(self, *, assets: Sequence[Asset], **kwargs: Any) -> None:
        super().__init__(outlets=assets, **kwargs)
        self.assets = assets

    def step(self, context: Context, stop: Stop) -> dict[str, Any]:
        """The counters of the asset's event."""
        from connector import job

        run = self.open_run(stop, Tally(self.table))
        with job.publishing(run.config, stop):
            run.load(yes=bool(context["params"].get("yes")))
            return emit(context, self.assets, run, run.destination.count(self.table))


class TailStep(ConnectorOperator):
    """Reads the stream until it has caught up, or, with `follow`, for `seconds`."""

    def __init__(
        self, *, assets: Sequence[Asset], seconds: float, follow: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(outlets=assets, **kwargs)
        self.assets = assets
        self.seconds = seconds
        self.follow = follow

    def step(self, context: Context, stop: Stop) -> dict[str, Any]:
        """The counters of the asset's event."""
        from connector import job

        tally = Tally(self.table)
        run = self.open_run(stop, tally)
        deadline = MACHINE.monotonic() + self.seconds

        def ended(tail: "Tail") -> bool:
            over = MACHINE.monotonic() >= deadline
            return over or (not self.follow and tail.caught_up())

        with job.publishing(run.config, stop):
            run.resynced(lambda: run.tail(ended), lambda: run.begin(full_refresh=True))
            log.info("%s: tailed %s", self.table, tally.tailed_text())
            return emit(context, self.assets, run, tally.applied)


class RepairStep(ConnectorOperator):
    """Fills in what the stream has lost from incremental exports, and reads on until caught up."""

    def __init__(self, *, assets: Sequence[Asset], **kwargs: Any) -> None:
        super().__init__(outlets=assets, **kwargs)
        self.assets = assets

    def step(self, context: Context, stop: Stop) -> dict[str, Any]:
        """The counters of the asset's event."""
        tally = Tally(self.table)
        run = self.open_run(stop, tally)
        deadline = MACHINE.monotonic() + 60 * float(context["params"]["minutes"])

        def ended(tail: "Tail") -> bool:
            return tail.caught_up() or MACHINE.monotonic() >= deadline

        run.repair(ended)
        log.info("%s: repaired, %s", self.table, tally.tailed_text())
        return emit(context, self.assets, run, tally.applied)


class StartSnapshot(TriggerDagRunOperator):
    """Starts the snapshot of a table that is not loaded, unless something is loading it already."""

    template_fields = (*TriggerDagRunOperator.template_fields, "segments")
    # A skipped task has started no run, and a link to it would log an error.
    operator_extra_links = ()

    def __init__(self, *, segments: Any, others: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segments = segments
        self.others = others
        """The ids of further DAGs that load the table."""

    def execute(self, context: Any) -> None:
        """Triggers the run, or is skipped."""
        if not self.segments:
            raise AirflowSkipException("The table is loaded.")
        for dag_id in (self.trigger_dag_id, *self.others):
            if context["ti"].get_dr_count(dag_id, states=["queued", "running"]):
                raise AirflowSkipException(f"A run of {dag_id} is queued or running.")
        super().execute(context)


def emit(context: Context, assets: Sequence[Asset], run: "Run", changed: int) -> dict[str, Any]:
    """Sets the counters of the assets' events, and returns those of all as the step's result.

    Each of several targets has its own number of rows; all else is the table's.
    """
    state = run.destination.read(run.table)
    since = state.consistent_since if state else None
    status = run.status(state)
    ran = run.destination.ran(run.table)
    rows = run.destination.counts(run.table)
    counters = {
        "phase": status.phase if state else None,
        "rows": sum(rows.values()),
        "changed": changed,
        "commit": state.commit if state else None,
        "new_columns": ran.new_columns,
        "widened_columns": ran.widened_columns,
        "drift": state.drift if state else None,
        "consistent_since": since.isoformat() if since else None,
        "lag_seconds": status.lag_seconds,
        "seconds_to_data_loss": status.seconds_to_data_loss,
    }
    log.info("%s: %s rows in commit %s", run.table, counters["rows"], counters["commit"])
    for asset, count in zip(assets, rows.values(), strict=True):
        context["outlet_events"][asset].extra = {**counters, "rows": count}
    return counters
