"""docker-compose.yml: its form, its secrets, and commands that other tests run."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.rigs.scripted import connect

from . import celery_run, stack

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = json.loads((Path(__file__).parent / "compose_schema.json").read_text())
PAGE = (ROOT / "docs" / "airflow.md").read_text()


def lines(command: str | list[str]) -> list[str]:
    """The commands of a service, one for each line of a script."""
    if isinstance(command, str):
        return [command]
    *_, script = command
    return [line for line in script.splitlines() if line]


def test_the_file_is_a_compose_file():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(COMPOSE, SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        {"services": {"a": {"image": "b:1", "comand": "c"}}},
        {"services": {"a": {"depends_on": {"b": {"condition": "ready"}}}}},
        {"services": {"a": {"healthcheck": {"interval": "soon"}}}},
        {"service": {}},
    ],
)
def test_the_schema_finds_mistakes(change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(COMPOSE | change, SCHEMA)


def test_every_image_is_pinned():
    images = {each["image"] for each in SERVICES.values()}
    assert not [image for image in images if not re.fullmatch(r"[\w/.-]+:\d[\w.-]+", image)]
    (base,) = re.findall(r"^FROM (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_every_service_that_stays_has_a_healthcheck():
    once = {"seed", "init"}
    assert {name for name, each in SERVICES.items() if "healthcheck" not in each} == once


def test_every_name_that_a_service_mentions_is_there():
    for each in SERVICES.values():
        assert set(each.get("depends_on", {})) <= set(SERVICES)
        for volume in each.get("volumes", []):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in COMPOSE["volumes"]
    assert (ROOT / "dags").is_dir()


def test_the_file_holds_no_secret():
    assert not re.findall(r"(?i)(?:password|secret|key)\w*: +(?!\$\{\w+:\?|local$).+$", TEXT, re.M)
    assert not re.findall(r"://[^\s/@:]+:(?!\$\{)[^\s/@]+@", TEXT)


def test_the_page_makes_every_secret_that_is_needed(tmp_path):
    (section,) = re.findall(r"^## Docker\n(.*)", PAGE, re.M | re.S)
    command = section.partition("```sh\n")[2].splitlines()[0]
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    made = dict(line.split("=") for line in (tmp_path / ".env").read_text().split())
    assert set(made) == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert all(len(value) >= 32 for value in made.values())
    assert ".env" in (ROOT / ".gitignore").read_text().split()


def test_every_command_is_one_that_a_test_runs():
    page = "\n".join(stack.page_blocks()).splitlines()
    seed = shlex.join(seed_command("http://dynamodb:8000")).replace(sys.executable, "python")
    tested = {*page, seed, celery_run.WORKER}
    ours = {
        line
        for each in SERVICES.values()
        if each["image"].startswith("connector-airflow")
        for line in lines(each["command"])
    }
    assert ours <= tested
    checks = {
        shlex.join(SERVICES[name]["healthcheck"]["test"][1:])
        for name in ("scheduler", "dag-processor")
    }
    assert checks == set(stack.HEALTHCHECKS)
    for worker in ("worker-1", "worker-2"):
        _, ping = SERVICES[worker]["healthcheck"]["test"]
        # A dollar of its own is written twice in a Compose file.
        assert ping.replace("$$", "$") == celery_run.PING


def seed_command(url: str) -> list[str]:
    """Writes the courses."""
    return [sys.executable, "-m", "connector.demo.seed", url]


def test_the_seed_writes_the_courses_once(dynamodb_local):
    for said in ("seeded", "there already"):
        done = subprocess.run(
            seed_command(dynamodb_local), cwd=ROOT, capture_output=True, text=True
        )
        assert (done.stdout.strip(), done.stderr) == (said, "")
    client = connect(dynamodb_local, "dynamodb")
    assert client.scan(TableName="cloudacademy-courses")["Count"] == 9
