"""The core in an environment without any extra: no Airflow, no Postgres, no moto."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("core_alone")

ROOT = Path(__file__).parent.parent.parent
ABSENT = ("airflow", "adbc_driver_postgresql", "moto", "pytest")
EVERY_MODULE = f"""
import importlib, importlib.util, pkgutil
import connector
assert not [name for name in {ABSENT} if importlib.util.find_spec(name)]
names = [
    each.name
    for each in pkgutil.walk_packages(connector.__path__, "connector.", onerror=lambda name: None)
    if not each.name.startswith(("connector.airflow", "connector.destinations.postgres"))
]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds what the core needs, and no more."""
    folder = tmp_path_factory.mktemp("core") / "venv"
    uv = [sys.executable, "-m", "uv"]
    install = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    pinned = ["--require-hashes", "--constraint", "constraints.txt", "-r", "pyproject.toml"]
    run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    run([*install, *pinned, "--group", "build"])
    run([*install, "--no-deps", "--no-build-isolation", "."])
    return folder / "bin" / "python"


def run(command: list[str], **more: str) -> str:
    """A command's output; an AssertionError with its errors where it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CONNECTOR_"))}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=kept | {"UV_PYTHON_DOWNLOADS": "never", "PYTHONPATH": ""} | more,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A source."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


def test_every_module_of_the_core_can_be_imported(python):
    assert int(run([str(python), "-c", EVERY_MODULE])) > 50


def test_the_core_shows_its_help(python):
    assert "snapshot" in run([str(python.with_name("connector")), "--help"])


def test_the_core_syncs_a_table(python, rig, tmp_path):
    orders = rig.create_table("orders", KeySchema(Key("id")))
    for number in range(50):
        orders.put({"id": {"S": str(number)}})
    source = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL_DYNAMODB": rig.url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": rig.url,
        "CONNECTOR_TAIL__QUIET_SECONDS": "0.3",
    }
    to = f"duckdb:///{tmp_path}/wh.duckdb"
    command = [str(python.with_name("connector")), "sync", "orders", "--to", to, "-o", "json"]
    (state,) = json.loads(run(command, **source))
    assert (state["rows"], state["phase"]) == (50, "tailing")
