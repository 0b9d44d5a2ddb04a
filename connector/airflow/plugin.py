"""The plugin that runs in Airflow's scheduler, which alone knows the existing pools."""

from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from connector.airflow.names import MISSING_POOLS, TAG


class PoolListener:
    """Records, when a run of ours starts, which of its pools do not exist.

    Airflow itself leaves a task with a missing pool in the state `scheduled` forever, and a task
    cannot look up pools (Airflow 3: no access to the metadata database).
    """

    @hookimpl  # type: ignore[untyped-decorator]
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        """Puts the names of missing pools into the run's conf, where its first task finds them."""
        dag = dag_run.dag
        if dag is None or TAG not in dag.tags:
            return
        missing = sorted({task.pool for task in dag.tasks} - _pools(dag_run))
        conf = {**(dag_run.conf or {})}
        # A cleared run starts again, and the pool may exist by then.
        conf.pop(MISSING_POOLS, None)
        if missing:
            conf[MISSING_POOLS] = missing
        if conf != dag_run.conf:
            dag_run.conf = conf


def _pools(dag_run: Any) -> set[str]:
    from airflow.models.pool import Pool
    from sqlalchemy.orm import object_session

    # The scheduler's own session: another one would commit and close what it is working on.
    return {pool.pool for pool in Pool.get_pools(session=object_session(dag_run))}


class ConnectorPlugin(AirflowPlugin):
    """Airflow finds this through the entry point `airflow.plugins`."""

    name = "connector"
    listeners = (PoolListener(),)
