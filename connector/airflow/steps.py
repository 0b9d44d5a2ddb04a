"""The steps of a table as operators. They are thin: everything real is in `job` and `pipeline`."""

import logging
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from connector.airflow.names import MISSING_POOLS, pool_command
from connector.airflow.segment_log import SegmentLog
from connector.airflow.step import Context, Step, airflow_errors
from connector.errors import ConfigError, Interrupted
from connector.progress import Tally
from connector.stop import MACHINE, Stop

if TYPE_CHECKING:
    from connector.pipeline.following.tail import Tail
    from connector.pipeline.sync import Run

log = logging.getLogger("connector.airflow")

LABEL = "scanned"
"""What a mapped scan's label shows beside the segment's number, once there is something."""


class CheckPool(BaseOperator):
    """Fails the run if its pool does not exist; Airflow would let the other steps wait for ever.

    The scheduler has looked for the pool as the run started: see `connector.airflow.plugin`.
    """

    def execute(self, context: Any) -> None:
        """Raises AirflowFailException with the command that makes the pool."""
        missing = (context["dag_run"].conf or {}).get(MISSING_POOLS)
        with airflow_errors():
            if missing:
                raise ConfigError(
                    f"The pool {missing[0]} does not exist, so the steps that write would wait for "
                    "ever.",
                    f"Run `{pool_command(missing[0])}`, then clear this task.",
                )


class PlanStep(Step):
    """Plans a table that never was, or anew for a full refresh; gives the segments to scan.

    A table that is loaded has none. A full refresh is planned once in each DAG run.
    """

    def step(self, context: Context, stop: Stop) -> list[dict[str, Any]]:
        """The segments, each with what names its plan."""
        run = self.open_run(stop, Tally(self.table))
        refresh = bool(context["params"].get("full_refresh"))
        plan_id = uuid5(NAMESPACE_URL, f"{self.dag_id}/{context['run_id']}").hex
        state = run.resynced(
            lambda: run.begin(refresh, plan_id if refresh else None),
            lambda: run.begin(full_refresh=True),
        )
        log.info("%s: %s, generation %d", self.table, state.phase.value, state.generation)
        if state.phase.value != "loading":
            return []
        return [
            {
                "plan_id": state.plan_id,
                "segments": state.segments,
                "segment": number,
                "spec": state.spec.plain() if state.spec else None,
            }
            for number in range(state.segments)
        ]


class ScanStep(Step):
    """Scans one segment into the spool, from where an earlier try stopped.

    It does not open the destination, so any number of workers may run it at once.
    """

    def __init__(
        self,
        *,
        plan_id: str,
        segments: int,
        segment: int,
        spec: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.plan_id = plan_id
        self.segments = segments
        self.segment = segment

    def step(self, context: Context, stop: Stop) -> dict[str, int]:
        """Counts of what this try has scanned; the label of the mapped task has that of all."""
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
            # Of the plan, which the configuration may have overtaken.
            spec=spec_of(self.spec) if self.spec else None,
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
            raise Interrupted("The scan was asked to end.", "Its next try goes on from here.")
        return {"segment": self.segment, "items": progress.read, "bytes": progress.size}


class LoadStep(Step):
    """Puts a finished scan into the table, in one transaction."""

    def __init__(self, *, asset: Asset, **kwargs: Any) -> None:
        super().__init__(outlets=[asset], **kwargs)
        self.asset = asset

    def step(self, context: Context, stop: Stop) -> dict[str, Any]:
        """What the table holds now."""
        run = self.open_run(stop, Tally(self.table))
        run.load(yes=bool(context["params"].get("yes")))
        return tell(context, self.asset, run, run.destination.count(self.table))


class TailStep(Step):
    """Reads the stream until it has caught up, but not for longer than `seconds`."""

    def __init__(
        self, *, asset: Asset, seconds: float, follow: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(outlets=[asset], **kwargs)
        self.asset = asset
        self.seconds = seconds
        self.follow = follow

    def step(self, context: Context, stop: Stop) -> dict[str, Any]:
        """What the table holds now."""
        tally = Tally(self.table)
        run = self.open_run(stop, tally)
        deadline = MACHINE.monotonic() + self.seconds

        def ended(tail: "Tail") -> bool:
            over = MACHINE.monotonic() >= deadline
            return over or (not self.follow and tail.caught_up())

        run.resynced(lambda: run.tail(ended), lambda: run.begin(full_refresh=True))
        log.info("%s: tailed %s", self.table, tally.tailed_text())
        return tell(context, self.asset, run, tally.applied)


class StartSnapshot(TriggerDagRunOperator):
    """Starts the snapshot of a table that is not loaded, unless one is on its way."""

    template_fields = (*TriggerDagRunOperator.template_fields, "segments")
    # Looking for the run that a skipped task has not started would be an error in its log.
    operator_extra_links = ()

    def __init__(self, *, segments: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segments = segments

    def execute(self, context: Any) -> None:
        """Triggers the run, or is skipped."""
        if not self.segments:
            raise AirflowSkipException("The table is loaded.")
        under_way = context["ti"].get_dr_count(self.trigger_dag_id, states=["queued", "running"])
        if under_way:
            raise AirflowSkipException("A snapshot is queued or running.")
        super().execute(context)


def tell(context: Context, asset: Asset, run: "Run", changed: int) -> dict[str, Any]:
    """Gives the asset's event its counters, which are the step's result as well."""
    from connector.core.status import Status

    state = run.destination.read(run.table)
    since = state.consistent_since if state else None
    status = Status.of(state, run.changes.now(), run.changes.retention)
    ran = run.destination.ran(run.table)
    told = {
        "phase": state.phase.value if state else None,
        "rows": run.destination.count(run.table),
        "changed": changed,
        "commit": state.commit if state else None,
        "new_columns": ran.new_columns,
        "widened_columns": ran.widened_columns,
        "drift": state.drift if state else None,
        "consistent_since": since.isoformat() if since else None,
        "lag_seconds": status.lag_seconds,
        "seconds_to_data_loss": status.seconds_to_data_loss,
    }
    log.info("%s: %s rows in commit %s", run.table, told["rows"], told["commit"])
    context["outlet_events"][asset].extra = told
    return told
