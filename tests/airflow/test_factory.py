"""What the factory makes of a connector.yaml, and what it costs to parse."""

import builtins
import io
import re
import shutil
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.demo.source import TABLE as COURSES

REPORT = Path(__file__).parents[2] / "dags" / "courses_report.py"
ARN = "arn:aws:dynamodb:us-west-2:123456789012:table/orders"


def write(folder: Path, tables: str, url: str = "duckdb:///warehouse.duckdb") -> Path:
    """A connector.yaml."""
    file = folder / "connector.yaml"
    file.write_text(f"destination:\n  url: {url}\ntables:\n{tables}")
    return file


def made(file: Path, **more: Any) -> dict[str, Any]:
    """The DAGs of a file, by their id."""
    from connector.airflow.factory import connector_dags

    return {dag.dag_id: dag for dag in connector_dags(file, **more)}


@pytest.mark.parametrize(
    "table", ["orders", "a.b", "A_b-C.9", "...", "x" * 255, f"{'y' * 250}.more"]
)
def test_every_table_name_makes_valid_dags(table, tmp_path):
    dags = made(write(tmp_path, f'  "{table}": {{}}\n'))
    assert len(dags) == 2
    for dag_id, dag in dags.items():
        assert len(f"dag_id={dag_id}") <= 255
        dag.validate()


def test_names_that_look_alike_make_dags_of_their_own(tmp_path):
    like_the_arn = made(write(tmp_path, f'  "{ARN}": {{into: a}}\n'))
    (name,) = {dag_id.rpartition("__")[0] for dag_id in like_the_arn}
    tables = [ARN, ARN.replace("12:", "13:"), "orders", f"{'z' * 250}a", f"{'z' * 250}b"]
    lines = "".join(f'  "{table}": {{into: t{n}}}\n' for n, table in enumerate(tables))
    assert len(made(write(tmp_path, lines))) == 10
    assert name.startswith("orders.us-west-2.123456789012")


def test_the_tail_is_bounded_and_never_runs_twice(tmp_path):
    dags = made(write(tmp_path, "  orders: {}\n"), every=timedelta(minutes=2))
    tail, snapshot = dags["orders__tail"], dags["orders__snapshot"]
    assert (tail.max_active_runs, tail.catchup, tail.schedule) == (1, False, timedelta(minutes=2))
    assert tail.task_dict["tail"].seconds == 120
    assert tail.dagrun_timeout > timedelta(minutes=2)
    assert (snapshot.max_active_runs, snapshot.catchup, snapshot.schedule) == (1, False, None)
    assert snapshot.params.dump() == {"full_refresh": False, "yes": False}
    followed = made(tmp_path / "connector.yaml", tail_for=timedelta(minutes=4))["orders__tail"]
    assert (followed.task_dict["tail"].seconds, followed.task_dict["tail"].follow) == (240, True)


def test_a_table_that_is_followed_by_kinesis_has_both(tmp_path):
    arn = "arn:aws:kinesis:us-west-2:000000000000:stream/orders"
    file = write(tmp_path, f"  orders: {{follow: kinesis, kinesis: '{arn}'}}\n")
    assert sorted(made(file)) == ["orders__snapshot", "orders__tail"]


def test_what_only_a_person_starts_is_not_paused_when_it_is_needed(tmp_path):
    file = write(tmp_path, "  orders: {}\n")
    file.write_text(
        file.read_text()
        + "exports: {url: 's3://bucket'}\nsource: {regions: [us-west-2, us-east-1]}\n"
    )
    paused = {name: dag.is_paused_upon_creation for name, dag in made(file).items()}
    assert paused == {
        "orders__snapshot": None,
        "orders__tail": None,
        "orders__failover": False,
        "orders__repair": False,
    }


def test_a_table_that_is_not_followed_has_a_snapshot_alone(tmp_path):
    file = write(tmp_path, "  orders: {follow: none}\n  users: {}\n")
    assert sorted(made(file)) == ["orders__snapshot", "users__snapshot", "users__tail"]
    assert made(file)["orders__snapshot"].schedule is None
    daily = made(file, snapshot_every=timedelta(days=1))
    assert daily["orders__snapshot"].schedule == timedelta(days=1)
    assert daily["users__snapshot"].schedule is None
    for dag in daily.values():
        dag.validate()


@pytest.mark.parametrize(
    ("url", "more", "pool"),
    [
        ("duckdb:///warehouse.duckdb", {}, "duckdb_warehouse"),
        ("duckdb:////data/my wh.db", {}, "duckdb_my_wh"),
        ("duckdb:///warehouse.duckdb", {"pool": "mine"}, "mine"),
        ("duckdb:///warehouse.duckdb", {"destination_conn_id": "wh"}, "connector_wh"),
        ("postgresql://loader@db/analytics", {}, "default_pool"),
    ],
)
def test_steps_that_write_wait_for_the_pool_and_scans_do_not(url, more, pool, tmp_path):
    dags = made(write(tmp_path, "  orders: {}\n", f'"{url}"'), **more)
    pools = {(dag.dag_id, task.task_id): task.pool for dag in dags.values() for task in dag.tasks}
    assert pools == {
        ("orders__snapshot", "plan"): pool,
        ("orders__snapshot", "scan"): "default_pool",
        ("orders__snapshot", "load"): pool,
        ("orders__tail", "plan"): pool,
        ("orders__tail", "tail"): pool,
        ("orders__tail", "start_snapshot"): "default_pool",
        **{(dag, "pool"): "default_pool" for dag in dags if pool != "default_pool"},
    }


def test_the_first_task_looks_for_the_pool_and_needs_none(tmp_path):
    for dag in made(write(tmp_path, "  orders: {}\n")).values():
        (first,) = dag.roots
        assert (first.task_id, first.pool, first.retries) == ("pool", "default_pool", 0)


def test_an_asset_has_a_short_name_that_tells_files_of_one_name_apart(tmp_path):
    from connector.airflow.assets import table_asset
    from connector.config.loading import load

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    names = [
        table_asset(load(write(tmp_path / name, "  orders: {}\n")), "orders").name
        for name in ("a", "b")
    ]
    assert len(set(names)) == 2
    for name in names:
        assert re.fullmatch(r"warehouse-[0-9a-f]{4}/main/orders", name)


def test_a_pool_that_does_not_exist_is_a_warning_of_the_dag(home):
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(home.dags), known_pools={"default_pool"})
    assert not bag.import_errors
    told = {warning.dag_id: warning.message for warning in bag.dag_warnings}
    assert set(told) == {f"{COURSES}__snapshot", f"{COURSES}__tail", "courses_report"}
    assert "duckdb_warehouse" in told[f"{COURSES}__tail"]
    assert "airflow pools set duckdb_warehouse 1" in bag.dags[f"{COURSES}__tail"].doc_md


def test_a_mistake_in_one_table_leaves_the_others_and_is_an_import_error(tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    tables = "  orders: {layuot: packed}\n  users: {}\n  returns: {on_gap: x}\n"
    file = write(tmp_path, tables)
    (tmp_path / "tables.py").write_text(
        "from connector.airflow.factory import connector_dags\n"
        f"globals().update({{dag.dag_id: dag for dag in connector_dags({str(file)!r})}})\n"
    )
    bag = DagBag(dag_folder=str(tmp_path))
    assert set(bag.dags) == {"users__snapshot", "users__tail"}
    (shown,) = bag.import_errors.values()
    assert "tables.orders.layuot is not a known key. Did you mean layout?" in shown
    assert "tables.returns.on_gap must be" in shown
    assert "Traceback" not in shown


def test_the_files_of_tables_are_read_beside_the_configuration(tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    from connector.airflow.connections import open_access

    file = write(tmp_path, "  orders: {}\n  users: {}\n")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "tables.py").write_text(
        "from connector.airflow.factory import connector_dags\n"
        f"globals().update({{dag.dag_id: dag for dag in connector_dags({str(file)!r})}})\n"
    )
    (tmp_path / "schemas" / "users.yaml").write_text("columns: {n: {type: integer}}\n")
    (tmp_path / "schemas" / "orders.yaml").write_text("columns: {n: {type: number}}\n")
    bag = DagBag(dag_folder=str(tmp_path))
    assert set(bag.dags) == {"users__snapshot", "users__tail"}
    (shown,) = bag.import_errors.values()
    assert "schemas/orders.yaml: columns.n.type: This is not a type" in shown
    assert "Traceback" not in shown
    spec = open_access(str(file), table="users").config.tables["users"].spec()
    assert spec.contract.types.keys() == {"n"}
    # Each time the DAGs are made, the files are read as they are then.
    (tmp_path / "schemas" / "orders.yaml").write_text("columns: {n: {type: integer}}\n")
    assert not DagBag(dag_folder=str(tmp_path)).import_errors


@pytest.mark.parametrize(
    ("tables", "dags"),
    [
        (f"  {COURSES}: {{into: courses}}\n  orders: {{layuot: packed}}\n", {"courses_report"}),
        (f"  {COURSES}: {{inot: courses}}\n  orders: {{}}\n", set()),
        ("  orders: {layuot: packed}\n", set()),
    ],
    ids=["in another table", "in its own table", "without its table"],
)
def test_the_report_leaves_mistakes_to_the_file_that_makes_the_tables(
    tables, dags, tmp_path, monkeypatch
):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    write(tmp_path, tables)
    shutil.copy(REPORT, tmp_path)
    bag = DagBag(dag_folder=str(tmp_path))
    assert not bag.import_errors
    assert set(bag.dags) == dags


def test_a_step_passes_over_the_mistakes_of_other_tables(tmp_path):
    from connector.airflow.connections import open_access
    from connector.errors import ConfigError

    file = str(write(tmp_path, "  orders: {layuot: packed}\n  users: {}\n"))
    assert "users" in open_access(file, table="users").config.tables
    for table in ("orders", None):
        with pytest.raises(ConfigError, match="layuot"):
            open_access(file, table=table)


def test_assets_are_named_by_where_the_table_is(tmp_path):
    from connector.airflow.assets import table_asset
    from connector.config.loading import load

    first = load(write(tmp_path, "  orders: {into: sales}\n  users: {}\n"))
    other = load(write(tmp_path, "  orders: {}\n", '"postgresql://me:secret@db:5432/wh"'))
    assets = [
        table_asset(first, "orders"),
        table_asset(first, "users"),
        table_asset(other, "orders"),
        table_asset(other, "orders", "warehouse"),
    ]
    assert len({each.name for each in assets}) == len({each.uri for each in assets}) == 4
    assert assets[2].uri == "x-connector://db:5432/wh/public/orders"
    assert table_asset(first, "orders") == assets[0]
    assert "secret" not in str(assets)


def test_parsing_reads_the_file_and_nothing_else(tmp_path, monkeypatch):
    file = write(tmp_path, "".join(f"  table-{n}: {{}}\n" for n in range(50)))
    made(file)
    opened: list[str] = []
    real = io.open

    def noted(name: Any, *args: Any, **kwargs: Any) -> Any:
        # A number is a descriptor that is open already, in a thread of the test's own.
        if not isinstance(name, int):
            opened.append(str(name))
        return real(name, *args, **kwargs)

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the network, while a DAG file is parsed")

    monkeypatch.setattr(builtins, "open", noted)
    monkeypatch.setattr(io, "open", noted)
    monkeypatch.setattr(socket.socket, "connect", refused)
    assert len(made(file)) == 100
    assert set(opened) <= {str(file)}


def test_parsing_imports_nothing_heavy(home):
    heavy = ["boto3", "botocore", "pyarrow", "duckdb", "sqlalchemy", "connector.job"]
    program = f"""
import sys
import airflow.sdk, airflow.providers.standard.operators.trigger_dagrun
before = set(sys.modules)
from connector.airflow.factory import connector_dags
connector_dags({str(home.dags / "connector.yaml")!r}, aws_conn_id="aws_default")
print([name for name in {heavy} if name in set(sys.modules) - before])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_parse_for_one_dag_makes_that_one(tmp_path, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "orders__tail")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "tail")
    assert list(made(write(tmp_path, "  orders: {}\n  users: {}\n"))) == ["orders__tail"]


def test_airflow_knows_the_provider(database):
    from airflow.providers_manager import ProvidersManager

    provider = ProvidersManager().providers["dynamodb-replica"]
    assert provider.data["name"] == "connector"
    assert provider.version
    from connector.airflow.provider import get_provider_info

    for operators in get_provider_info()["operators"]:
        for module in operators["python-modules"]:
            __import__(module)


def test_each_target_of_a_table_is_an_asset(tmp_path):
    routes = "{when: {kind: order}, into: orders}, {else: other}"
    file = write(tmp_path, f"  app: {{routes: [{routes}]}}\n")
    tasks = [task for dag in made(file).values() for task in dag.tasks]
    told = {task.task_id: [each.uri for each in task.outlets] for task in tasks if task.outlets}
    assert set(told) == {"load", "tail"}
    for uris in told.values():
        assert [uri.rpartition("/")[2] for uri in uris] == ["orders", "other"]
