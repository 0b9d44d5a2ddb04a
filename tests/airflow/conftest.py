"""An Airflow home of its own, made before anything imports Airflow. Without Airflow, a skip."""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo_source import TABLE as COURSES
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB, Table

from .home import Home, aws_connection

FOLDER = Path(__file__).parent
NEEDS_AIRFLOW = {
    "test_connections.py",
    "test_dags.py",
    "test_factory.py",
    "test_postgres.py",
    "test_refused.py",
    "test_scheduler.py",
}
OWN_ENVIRONMENT = "test_core_alone.py"
HAS_AIRFLOW = importlib.util.find_spec("airflow") is not None


if HAS_AIRFLOW:
    HOME = Home(Path(tempfile.mkdtemp(prefix="connector-airflow-")))
    HOME.prepare()
    os.environ.update(
        AIRFLOW_HOME=str(HOME.folder),
        AIRFLOW__CORE__UNIT_TEST_MODE="True",
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(HOME.dags),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME.folder}/airflow.db",
    )
    # What happens while Airflow's own modules are imported is not ours to mend.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import airflow.sdk  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow warns of itself; and without Airflow there is nothing to test here."""
    if os.environ.get("NEEDS_AIRFLOW") and not HAS_AIRFLOW:
        pytest.exit("Airflow is missing, and make test-airflow is for it.", returncode=1)
    for item in items:
        if item.path.name == OWN_ENVIRONMENT and not HAS_AIRFLOW:
            item.add_marker(pytest.mark.skip(reason="It makes an environment: make test-airflow"))
        if item.path.parent != FOLDER or item.path.name not in NEEDS_AIRFLOW:
            continue
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        if not HAS_AIRFLOW:
            item.add_marker(pytest.mark.skip(reason="Airflow is missing: make test-airflow"))


def pytest_unconfigure() -> None:
    """Removes the Airflow home."""
    if HAS_AIRFLOW:
        shutil.rmtree(HOME.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's own database, made once."""
    from airflow.utils import db

    db.initdb()


@pytest.fixture
def home(database: None) -> Home:
    """The home, with nothing replicated yet."""
    HOME.forget()
    return HOME


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A scripted server, which the connection aws_default leads to."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(running.url))
        monkeypatch.setenv("CONNECTOR_TAIL__QUIET_SECONDS", "0.3")
        monkeypatch.setenv("CONNECTOR_TAIL__POLL_SECONDS", "0.1")
        yield running


@pytest.fixture
def courses(rig: ScriptedDynamoDB) -> Table:
    """The table of the example, empty."""
    return rig.create_table(COURSES, KeySchema(Key("courseid")))


@pytest.fixture
def orders(rig: ScriptedDynamoDB) -> Table:
    """The table of the tests' own DAGs, empty."""
    return rig.create_table("orders", KeySchema(Key("id")))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for what the tests themselves read."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")


@pytest.fixture
def fresh_runs(database: None) -> None:
    """Forgets the runs of earlier tests, which would count as under way."""
    from airflow import settings
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun

    with settings.Session() as session:
        for model in (AssetEvent, DagRun):
            for each in session.query(model):
                session.delete(each)
        session.commit()
