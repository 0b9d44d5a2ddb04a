"""A folder for Airflow with the DAGs that a user copies, and DAGs of the tests' own beside them."""

import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent.parent

# Their own file, so that the ones that a user copies are tested as they are.
IMPATIENT = '''"""DAGs of Airflow that try again at once."""

from datetime import timedelta
from pathlib import Path

from connector.airflow.factory import connector_dags

DAGS = connector_dags(
    Path(__file__).with_name("orders.yaml"),
    aws_conn_id="aws_default",
    pool="default_pool",
    retry_delay=timedelta(seconds=1),
    retries=3,
)
globals().update({dag.dag_id: dag for dag in DAGS})
'''
# Nobody makes this pool, until a test does.
POOLLESS = '''"""DAGs of Airflow whose pool does not exist."""

from pathlib import Path

from connector.airflow.factory import connector_dags

DAGS = connector_dags(Path(__file__).with_name("poolless.yaml"), aws_conn_id="aws_default")
globals().update({dag.dag_id: dag for dag in DAGS})
'''
POOLLESS_TABLES = """
destination:
  url: duckdb:///${AIRFLOW_HOME}/poolless.duckdb
tables:
  returns: {segments: 1}
"""
ORDERS = """
destination:
  url: duckdb:///${AIRFLOW_HOME}/orders.duckdb
tables:
  orders: {segments: 2}
"""


def aws_connection(url: str, **extra: Any) -> str:
    """The connection aws_default, to a server on this machine."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "test",
            "password": "test",
            "extra": {"region_name": "us-west-2", "endpoint_url": url, **extra},
        }
    )


@dataclass(frozen=True)
class Home:
    """An AIRFLOW_HOME."""

    folder: Path

    @property
    def dags(self) -> Path:
        """Where Airflow looks for DAGs."""
        return self.folder / "dags"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of the example."""
        return self.folder / "warehouse.duckdb"

    def prepare(self) -> None:
        """Copies the DAGs."""
        self.dags.mkdir()
        for file in (ROOT / "dags").glob("*.*"):
            shutil.copy(file, self.dags)
        self.add_orders()

    def add_orders(self) -> None:
        """Adds the tests' own DAGs."""
        (self.dags / "orders.yaml").write_text(ORDERS)
        (self.dags / "orders_dags.py").write_text(IMPATIENT)

    def add_poolless(self) -> None:
        """Adds DAGs whose pool does not exist."""
        (self.dags / "poolless.yaml").write_text(POOLLESS_TABLES)
        (self.dags / "poolless_dags.py").write_text(POOLLESS)

    def forget(self) -> None:
        """Removes everything that was replicated."""
        for file in self.folder.glob("*.duckdb*"):
            file.unlink()
        shutil.rmtree(self.folder / ".connector", ignore_errors=True)

    def module(self, name: str) -> ModuleType:
        """One of the DAG files, imported."""
        spec = importlib.util.spec_from_file_location(name, self.dags / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def dag(self, dag_id: str) -> Any:
        """One DAG of these files."""
        found = {
            each.dag_id: each
            for name in ("connector_dags", "orders_dags")
            for each in self.module(name).DAGS
        }
        return found[dag_id]


def states(dag_run: Any) -> dict[str, list[str]]:
    """The states of a run's tasks, by the task."""
    found: dict[str, list[str]] = {}
    for each in dag_run.get_task_instances():
        found.setdefault(each.task_id, []).append(str(each.state))
    return found


def xcoms() -> list[str]:
    """Everything that tasks have handed on."""
    from airflow import settings
    from airflow.models.xcom import XComModel

    with settings.Session() as session:
        return [json.dumps(each.value) for each in session.query(XComModel)]


def events(name: str) -> list[dict[str, Any]]:
    """What was told of the assets whose name ends so, in order."""
    from airflow import settings
    from airflow.models.asset import AssetEvent, AssetModel

    with settings.Session() as session:
        query = (
            session.query(AssetEvent.extra)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .filter(AssetModel.name.endswith(name))
            .order_by(AssetEvent.id)
        )
        return [extra for (extra,) in query]
