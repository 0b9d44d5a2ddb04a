"""deploy/Dockerfile: its form, and its own commands run here, where there is no Docker."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from connector import __version__

from .rigs.combinations import are_by_turns
from .test_distribution import environment, rig
from .test_packaging import ROOT, tracked

pytestmark = pytest.mark.xdist_group("dockerfile")

FILE = ROOT / "deploy" / "Dockerfile"
FETCH_UV = "/build/bin/pip install --no-cache-dir --require-hashes -r /build/uv.txt"


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    rest: str


def instructions(file: Path) -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line]


ALL = instructions(FILE)
LAST_STAGE = max(index for index, each in enumerate(ALL) if each.name == "FROM")
BUILD, IMAGE = ALL[:LAST_STAGE], ALL[LAST_STAGE:]


def copied() -> list[str]:
    """What is copied out of the repository."""
    found = [each.rest.split() for each in ALL if each.name == "COPY" and "--from" not in each.rest]
    return [source for sources in found for source in sources[:-1]]


def test_it_is_a_dockerfile():
    known = {"FROM", "COPY", "RUN", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"}
    assert {each.name for each in ALL} <= known
    assert ALL[0].name == "FROM"
    for each in ALL:
        if each.name in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(each.rest))


def test_its_base_is_that_of_the_other_image_and_pinned():
    bases = {each.rest.partition(" AS ")[0] for each in ALL if each.name == "FROM"}
    (base,) = {each.rest for each in instructions(ROOT / "Dockerfile") if each.name == "FROM"}
    assert bases == {base}
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_everything_that_it_copies_reaches_docker():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    files = {path.relative_to(ROOT).as_posix() for path in tracked()}
    for source in copied():
        assert source in files or any(file.startswith(f"{source}/") for file in files), source
        assert not [pattern for pattern in ignored if fnmatch.fnmatch(source, pattern)], source


def test_the_image_runs_the_command_as_nobody_special():
    (user,) = [each.rest for each in IMAGE if each.name == "USER"]
    (made,) = [each.rest for each in IMAGE if each.name == "RUN"]
    assert re.fullmatch(rf"useradd --uid [1-9]\d+ .*\b{user}", made)
    assert [each.rest for each in IMAGE if each.name == "ENTRYPOINT"] == ['["connector"]']
    # The user's home is the folder that is mounted: .aws is looked for there, and files land there.
    (home,) = re.findall(r"--home-dir (\S+)", made)
    assert [each.rest for each in IMAGE if each.name == "WORKDIR"] == [home]
    (variables,) = [each.rest for each in IMAGE if each.name == "ENV"]
    assert f"HOME={home}" in variables.split()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of the image, made by the Dockerfile's own commands in folders of a test."""
    root = tmp_path_factory.mktemp("image")
    (source,) = [each.rest for each in BUILD if each.name == "WORKDIR"]
    folder = root / source.strip("/")
    folder.mkdir()
    for each in BUILD:
        if each.name == "COPY":
            *sources, into = each.rest.split()
            for name in sources:
                copy(ROOT / name, folder / into / (name if into.endswith("/") else ""))
        if each.name == "RUN":
            carry_out(each.rest, root, folder)
    return root / "opt" / "connector" / "bin"


def copy(source: Path, into: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, into)


def carry_out(command: str, root: Path, folder: Path) -> None:
    """Runs a RUN, with the image's folders below `root` and uv taken from this environment."""
    assert re.search(r"/(?:build|opt)", command)
    uv = f'printf \'#!/bin/sh\\nexec "{sys.executable}" -m uv "$@"\' > /build/bin/uv'
    ours = command.replace(FETCH_UV, f"{uv} && chmod +x /build/bin/uv")
    ours = re.sub(r"(?<![\w.*])/(?=build\b|opt\b)", f"{root}/", ours)
    if are_by_turns():
        # To compile every package takes most of the time, and nothing here asks for it; nor for
        # the pip of the first environment, which would fetch the uv that is taken from here.
        ours = ours.replace(" --compile-bytecode", "")
        ours = ours.replace("python -m venv /", "python -m venv --without-pip /")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    # What make has installed is in uv's cache: the index is asked only if something is not.
    for offline in ("1", "0"):
        done = subprocess.run(
            ["sh", "-c", ours],
            cwd=folder,
            env=kept | {"PATH": path, "UV_OFFLINE": offline, "UV_PYTHON_DOWNLOADS": "never"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        if done.returncode == 0:
            return
    raise AssertionError(done.stderr[-2000:])


def test_it_fetches_uv_as_pinned(image):
    assert sum(FETCH_UV in each.rest for each in BUILD) == 1
    pinned = (image.parent.parent.parent / "build" / "uv.txt").read_text(encoding="utf-8")
    assert re.fullmatch(r"uv==[\d.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n?", pinned)


def test_the_image_has_the_command_and_no_tools_to_build_it(image):
    done = subprocess.run([image / "connector", "--version"], capture_output=True, text=True)
    assert done.stdout == f"connector {__version__}\n", done.stderr
    programs = {path.name for path in image.iterdir()}
    assert programs & {"pip", "uv", "hatchling", "airflow", "moto_server", "pytest"} == set()


def test_the_image_knows_postgres(image):
    code = "import adbc_driver_postgresql.dbapi, connector.destinations.postgres.server"
    subprocess.run([image / "python", "-c", code], check=True, timeout=60, cwd=image)


def test_the_image_syncs_a_table(image, tmp_path):
    with rig() as source:
        done = subprocess.run(
            [image / "connector", "sync", "orders", "--to", "duckdb:///wh.duckdb", "-o", "json"],
            cwd=tmp_path,
            env={"PATH": str(image), "HOME": str(tmp_path), **environment(source)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    (state,) = json.loads(done.stdout)
    assert (state["rows"], state["phase"]) == (50, "tailing")
