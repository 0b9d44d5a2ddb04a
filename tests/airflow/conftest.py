"""An Airflow home of its own, made before anything imports Airflow. Without Airflow, a skip."""

import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.source import TABLE as COURSES
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB, Table

from .home import Home, aws_connection

FOLDER = Path(__file__).parent
IN_THIS_PROCESS = {
    "test_connections.py",
    "test_dags.py",
    "test_factory.py",
    "test_failover.py",
    "test_postgres.py",
    "test_refused.py",
}
SCHEDULER = "test_scheduler.py"
OWN_ENVIRONMENT = "test_core_alone.py"
HAS_AIRFLOW = importlib.util.find_spec("airflow") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Airflow there is nothing to test here; with it, it warns of itself.

    What runs Airflow shares its database, and what starts a scheduler shares that: each in one
    process.
    """
    if os.environ.get("NEEDS_AIRFLOW") and not HAS_AIRFLOW:
        pytest.exit("Airflow is missing: make test and make test-airflow bring it.", returncode=1)
    for item in items:
        if item.path.parent != FOLDER:
            continue
        name = item.path.name
        if name in {*IN_THIS_PROCESS, SCHEDULER}:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            group = "scheduler" if name == SCHEDULER else "airflow"
            item.add_marker(pytest.mark.xdist_group(group))
        if name in {*IN_THIS_PROCESS, SCHEDULER, OWN_ENVIRONMENT} and not HAS_AIRFLOW:
            item.add_marker(pytest.mark.skip(reason="Airflow is missing: make test-airflow"))


@pytest.fixture(scope="session")
def airflow_home() -> Iterator[Home]:
    """The one home of this process. Airflow, once imported, keeps to it."""
    made = Home(Path(tempfile.mkdtemp(prefix="connector-airflow-")))
    made.prepare()
    variables = {
        "AIRFLOW_HOME": str(made.folder),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(made.dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{made.folder}/airflow.db",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with warnings.catch_warnings():
            # What happens while Airflow's own modules are imported is not ours to mend.
            warnings.simplefilter("ignore")
            import airflow.sdk  # noqa: F401
        yield made
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def imported(request: pytest.FixtureRequest) -> None:
    """Has Airflow imported in its home by the tests that run it in this process."""
    if request.path.name in IN_THIS_PROCESS and HAS_AIRFLOW:
        request.getfixturevalue("airflow_home")


@pytest.fixture(scope="session")
def database(airflow_home: Home) -> None:
    """Airflow's own database, made once."""
    from airflow.utils import db

    db.initdb()


@pytest.fixture
def home(airflow_home: Home, database: None) -> Home:
    """The home, with nothing replicated yet."""
    airflow_home.forget()
    return airflow_home


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
