"""A table on its way to Postgres, whose address and password only an Airflow connection knows."""

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.destinations.story import Item
from tests.rigs.postgres import Database
from tests.rigs.relay import Relay
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB, Table

from .home import IMPATIENT, Home, events, states, xcoms
from .test_dags import synced

pytestmark = pytest.mark.usefixtures("aws", "fresh_runs")

PASSWORD = "canary/+password"


@pytest.fixture
def loader(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection `warehouse`, for a role with a password and a schema of its own."""
    url = postgres.role("CREATE SCHEMA sales", password=PASSWORD)
    role = postgres.roles[-1]
    postgres.by_hand(
        f"GRANT CREATE ON DATABASE {postgres.name} TO {role}",
        f"GRANT USAGE, CREATE ON SCHEMA sales TO {role}",
    )
    parts = urlsplit(url)
    folder = parts.query.partition("host=")[2]
    target = (parts.hostname or "", parts.port or 5432)
    with Relay(f"{folder}/.s.PGSQL.5432" if folder else target) as relay:
        warehouse = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": relay.port,
            "login": role,
            "password": PASSWORD,
            "schema": postgres.name,
        }
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse))
        yield role


@pytest.fixture
def dags(home: Home, loader: str) -> Iterator[dict[str, Any]]:
    """The DAGs of a file that names no destination but its schema.

    They are where Airflow looks for DAGs: of others it does not know the assets.
    """
    config, program = home.dags / "sales.yaml", home.dags / "sales_dags.py"
    config.write_text("destination: {schema: sales}\ntables:\n  sales: {segments: 2}\n")
    program.write_text(
        IMPATIENT.replace("orders.yaml", "sales.yaml").replace(
            'pool="default_pool"', 'destination_conn_id="warehouse"'
        )
    )
    yield {dag.dag_id: dag for dag in home.module("sales_dags").DAGS}
    config.unlink()
    program.unlink()


def address() -> str:
    """The url that says what the connection says."""
    said = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    login = f"{said['login']}:{quote(said['password'], safe='')}"
    return f"postgresql://{login}@{said['host']}:{said['port']}/{said['schema']}"


@pytest.fixture
def sales(rig: ScriptedDynamoDB) -> Table:
    """The source, empty."""
    return rig.create_table("sales", KeySchema(Key("id")))


def items(numbers: range, text: str) -> list[Item]:
    """Items of the source."""
    return [{"id": {"S": str(n)}, "n": {"N": f"{n}.5"}, "text": {"S": text}} for n in numbers]


def test_a_table_is_synced_to_the_postgres_that_a_connection_names(
    dags: dict[str, Any],
    postgres: Database,
    loader: str,
    rig: ScriptedDynamoDB,
    sales: Table,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # From before the stream: only a scan sees them.
    sales.load(items(range(30), "old"))
    first = dags["sales__tail"].test()
    assert (first.state, states(first)["start_snapshot"]) == ("success", ["success"])
    sales.put(*items(range(5), "changed while the snapshot waits"))
    snapshot = dags["sales__snapshot"].test()
    assert states(snapshot) == {
        "pool": ["success"],
        "plan": ["success"],
        "scan": ["success", "success"],
        "load": ["success"],
    }
    sales.delete({"id": {"S": "29"}})
    sales.put(*items(range(40, 42), "new"))
    last = dags["sales__tail"].test()
    assert (last.state, states(last)["start_snapshot"]) == ("success", ["skipped"])
    wanted = {
        item["id"]["S"]: (item["n"]["N"], item["text"]["S"]) for item in rig.model("sales").items()
    }
    found = postgres.by_hand("SELECT id, n::text, text FROM sales.sales")
    assert {key: (number, text) for key, number, text in found} == wanted
    assert len(found) == len(wanted) == 31
    owner = "SELECT tableowner::text FROM pg_tables WHERE schemaname = 'sales'"
    assert postgres.by_hand(owner) == [(loader,)]
    assert [told["rows"] for told in events("warehouse/sales/sales")] == [0, 30, 31]
    assert not [text for text in [*capfd.readouterr(), *xcoms()] if PASSWORD in text]


def test_a_login_that_is_refused_fails_at_once_and_tells_no_password(
    dags: dict[str, Any],
    sales: Table,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(said | {"login": "nobody"}))
    failed = dags["sales__tail"].test()
    (plan,) = [each for each in failed.get_task_instances() if each.task_id == "plan"]
    assert (failed.state, str(plan.state), plan.try_number) == ("failed", "failed", 1)
    told = "".join(capfd.readouterr())
    assert "DestinationRefused" in told
    assert "refused the login" in told
    assert PASSWORD not in told


def test_a_view_in_the_way_of_a_load_and_of_a_tail_is_named_and_noted(
    dags: dict[str, Any],
    home: Home,
    rig: ScriptedDynamoDB,
    postgres: Database,
    sales: Table,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sales.load(items(range(3), "old"))
    problem = "SELECT coalesce(problem, '') FROM _connector.tables"
    synced(home, rig, "sales", "sales.yaml", to=address())
    postgres.by_hand("CREATE VIEW sales.report AS SELECT n FROM sales.sales")
    wider = {"id": {"S": "1"}, "n": {"S": PASSWORD}}
    sales.load([wider])
    refresh = {"full_refresh": True, "yes": True}
    failed = dags["sales__snapshot"].test(run_conf=refresh)
    assert states(failed)["load"] == ["failed"]
    told = "".join(capfd.readouterr())
    names = "The column n of sales.sales cannot become jsonb, because of the view sales.report"
    assert f"DestinationRefused: {names}" in told
    assert "Drop it, run again" in told
    assert names in postgres.by_hand(problem)[0][0]
    sales.put({**wider, "n": {"S": PASSWORD * 2}})
    assert dags["sales__tail"].test().state == "failed"
    assert names in postgres.by_hand(problem)[0][0]
    postgres.by_hand("DROP VIEW sales.report")
    assert dags["sales__tail"].test().state == "success"
    # The tail says nothing of the load.
    assert names in postgres.by_hand(problem)[0][0]
    assert dags["sales__snapshot"].test().state == "success"
    assert postgres.by_hand(problem) == [("",)]
    assert PASSWORD not in told
