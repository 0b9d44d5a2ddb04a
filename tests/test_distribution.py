"""The wheel and the sdist: what is in them, and that the wheel works where nothing else is."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from connector import __version__

from .rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB
from .test_packaging import PROJECT, ROOT, offences

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("distribution")

NAME = PROJECT["project"]["name"]
STEM = f"{NAME.replace('-', '_')}-{__version__}"


def run(*command: object, folder: Path = ROOT, **environment: str) -> str:
    """A command's output; an AssertionError with its errors where it fails."""
    ours = ("AWS_", "CONNECTOR_", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def build(source: Path, into: Path, *targets: str) -> None:
    """Builds as an installer does; hatchling is here already, so nothing is downloaded."""
    wanted = [word for target in targets for word in ("--target", target)]
    run(sys.executable, "-m", "hatchling", "build", "--directory", into, *wanted, folder=source)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    build(ROOT, folder, "wheel", "sdist")
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{STEM}-py3-none-any.whl"


@pytest.fixture(scope="module")
def sdist(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built / f"{STEM}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / STEM


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an empty environment with the wheel in it.

    What the wheel needs is borrowed from this environment, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    run(*uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel)
    (packages,) = folder.glob("lib/python3*/site-packages")
    # A folder that a .pth file names is searched last, and its own .pth files say nothing.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def about(wheel: Path, file: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{STEM}.dist-info/{file}")


def test_the_version_is_written_in_two_places_alike():
    assert PROJECT["project"]["version"] == __version__


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    package = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "connector").rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    assert found == package
    assert "connector/py.typed" in found


def test_the_wheel_says_what_it_is(wheel):
    said: Message = message_from_bytes(about(wheel, "METADATA"))
    assert (said["Name"], said["Version"]) == (NAME, __version__)
    assert said["License-Expression"] == "Apache-2.0"
    assert said.get_all("License-File") == ["LICENSE"]
    assert about(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    extras = set(PROJECT["project"]["optional-dependencies"])
    assert set(said.get_all("Provides-Extra")) == extras
    needs = said.get_all("Requires-Dist")
    assert len([each for each in needs if "extra ==" not in each]) == len(
        PROJECT["project"]["dependencies"]
    )


def test_the_wheel_brings_the_command_and_the_provider(wheel):
    said = about(wheel, "entry_points.txt").decode()
    assert "connector = connector.__main__:main" in said
    assert "[apache_airflow_provider]" in said
    assert "connector.airflow.provider:get_provider_info" in said


def test_airflow_finds_the_provider_under_the_distributions_name():
    from connector.airflow.provider import get_provider_info

    # Airflow compares them, and refuses to start where they differ.
    assert get_provider_info()["package-name"] == NAME


def test_the_sdist_holds_what_a_user_reads_and_no_tests(sdist):
    found = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    assert found >= {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "constraints.txt",
        "pyproject.toml",
        "schemas/connector.schema.json",
        "schemas/table.schema.json",
        "schemas/cloudacademy-courses.yaml",
        "docs/configuration.md",
        "dags/connector.yaml",
        "deploy/Dockerfile",
    }
    assert {name.partition("/")[0] for name in found} & {"tests", "benchmarks", ".ci"} == set()
    assert sum(path.stat().st_size for path in sdist.rglob("*") if path.is_file()) < 3_000_000


def test_the_links_of_the_sdists_readme_are_in_it(sdist):
    links = re.findall(r"\]\(([^)#\s]+)", (sdist / "README.md").read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (sdist / link).exists()] == []


def test_the_sdist_gives_the_same_wheel(sdist, wheel, tmp_path):
    build(sdist, tmp_path, "wheel")
    assert sorted(names(tmp_path / wheel.name)) == sorted(names(wheel))


def test_the_installed_command_is_the_wheels(installed, tmp_path):
    where = "import connector; print(connector.__file__)"
    assert str(installed.parent) in run(installed / "python", "-c", where, folder=tmp_path)
    said = f"connector {__version__}\n"
    assert run(installed / "connector", "--version", folder=tmp_path) == said
    assert run(installed / "python", "-m", "connector", "--version", folder=tmp_path) == said


def test_the_installed_command_runs_the_demo(installed, tmp_path):
    said = run(installed / "connector", "demo", "--file", "demo.duckdb", folder=tmp_path)
    assert (tmp_path / "demo.duckdb").exists()
    assert "connector" in said


def test_the_installed_command_syncs_with_workers_of_its_own(installed, tmp_path):
    with rig() as source:
        said = run(
            installed / "connector", "sync", "orders", "--to", "duckdb:///wh.duckdb",
            "--segments", "2", "--workers", "2", "--output", "json",
            folder=tmp_path, **environment(source),
        )  # fmt: skip
    (state,) = json.loads(said)
    assert (state["rows"], state["phase"]) == (50, "tailing")


def rig() -> ScriptedDynamoDB:
    """A source of 50 orders."""
    source = ScriptedDynamoDB(clock=RunningClock())
    source.create_table("orders", KeySchema(Key("id"))).put(
        *({"id": {"S": str(number)}} for number in range(50))
    )
    return source


def environment(source: ScriptedDynamoDB) -> dict[str, str]:
    """What leads the command to a source."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL_DYNAMODB": source.url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": source.url,
        "CONNECTOR_TAIL__QUIET_SECONDS": "0.3",
    }


def test_the_page_names_every_extra_and_the_wheel(wheel):
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(
        PROJECT["project"]["optional-dependencies"]
    )
    assert re.findall(r"dist/(\S+\.whl)", page) == [wheel.name]
    assert f"`{NAME}`" in page


# From an index these would bring nothing, or a package of somebody else.
FROM_AN_INDEX = re.compile(
    r"(?:pip3?|pipx|uv tool) install [^`\n]*?(?<![\w./-])(?:connector|" + NAME + r")(?![\w./-])"
    r"|(?:uvx|pipx run) (?:--\S+ )*(?:connector|" + NAME + r")\b"
    r"|(?<![\w./-])connector\[\w+\]"
)


def test_no_page_and_no_hint_installs_the_connector_from_an_index():
    this = Path(__file__).relative_to(ROOT).as_posix()
    assert [each for each in offences(FROM_AN_INDEX) if not each.startswith(this)] == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("pip install 'connector[postgres]'", True),
        ("pip install connector", True),
        ("python -m pip install --upgrade connector", True),
        ("uv pip install connector[demo]", True),
        ("pipx install connector", True),
        ("uvx connector sync", True),
        (f"pip install {NAME}", True),
        (f"pip install '{NAME}[airflow]'", True),
        ("the extra connector[demo]", True),
        ("pip install '.[postgres]'", False),
        ("pip install ./connector", False),
        ("pip install 'adbc-driver-postgresql'", False),
        ("pip install . brings the command `connector`", False),
    ],
)
def test_an_installation_from_an_index_is_recognised(text, is_one):
    assert bool(FROM_AN_INDEX.search(text)) is is_one
