"""The format of a DuckDB file: which DuckDB can read it, and that it stays as it was made."""

import re
from pathlib import Path
from typing import get_args

import duckdb
import pytest

from connector import job
from connector.config import loading as configuration
from connector.destinations.duckdb.backend import DuckDBVersion
from connector.destinations.duckdb.file import DuckDBDestination
from connector.errors import DestinationRefused

from . import history
from .history import FAILPOINTS, FINAL, killed_at, tell
from .items import A, B
from .story import SHARD, Story, put

ROOT = Path(__file__).parent.parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = OPERATIONS.partition("## Versions of DuckDB\n")[2].partition("\n## ")[0]

VERSIONS = get_args(get_args(DuckDBVersion)[0])

# What DuckDB 1.0 and its successors call the formats that they can read, up to the last one. 1.3
# gets the format before its own: with its own, it passes over the log of a killed commit.
READABLE = {"1.0": 64, "1.1": 64, "1.2": 65, "1.3": 65, "1.4": 67, "1.5": 68, "2.0": 69}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def format_of(path: Path) -> str:
    """The oldest DuckDB that can read the file, as DuckDB itself says."""
    with duckdb.connect(str(path), read_only=True) as connection:
        sql = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
        (found,) = connection.execute(sql).fetchall()
    return found[0]


def number_of(path: Path) -> int:
    """The number that an older DuckDB looks at before anything else."""
    return int.from_bytes(path.read_bytes()[12:20], "little")


def asked(path: Path, version: str | None) -> Story:
    """A story in a file that is asked to be of a version."""
    return Story(DuckDBDestination(path, storage_version=version, lock_timeout=1))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_history_is_in_a_file_of_the_version(path, version, monkeypatch):
    monkeypatch.setattr(
        history, "destination_at", lambda place: DuckDBDestination(path, storage_version=version)
    )
    tell(str(path)).shows(*FINAL)
    if version == "2.0":
        # The number that old versions look at is no version for them; 1.5 looks elsewhere.
        assert format_of(path) == "v2.0.0+"
    else:
        assert number_of(path) == READABLE[version]
    oldest = [int(part) for part in re.findall(r"\d+", format_of(path))[:2]]
    assert oldest <= [int(part) for part in version.split(".")]


@pytest.mark.parametrize("version", ["1.0", "1.3", "1.4"])
def test_a_file_of_a_killed_writer_keeps_its_format(path, version):
    asked(path, version).plan()
    before = number_of(path)
    for failpoint in FAILPOINTS[-3:]:
        killed_at(failpoint, str(path))
        assert number_of(path) == before
    tell(str(path)).shows(*FINAL)
    assert number_of(path) == before


def test_the_configuration_asks_for_the_version(path):
    config = configuration.load(
        to=f"duckdb:///{path}",
        tables=["orders"],
        environment={"CONNECTOR_DESTINATION__STORAGE_VERSION": "v1.2.2"},
    )
    story = Story(job.open_destination(config, "orders"))
    opened, *_ = story.destination.check(())
    assert opened.error is None and "DuckDB" in opened.detail
    story.plan()
    story.tail(put(A))
    assert number_of(path) == READABLE["1.2"]


def test_without_a_version_a_file_has_the_newest_format(path):
    asked(path, None).plan()
    with duckdb.connect(str(path.with_name("other.duckdb"))) as connection:
        connection.execute("CREATE TABLE t (i INTEGER)")
    assert format_of(path) == format_of(path.with_name("other.duckdb"))


def test_every_format_that_duckdb_has_can_be_asked_for():
    with pytest.raises(duckdb.Error, match="valid options") as caught:
        duckdb.connect(config={"storage_compatibility_version": "none"})
    known = {found[1] for found in re.finditer(r"v([1-9]\d*\.\d+)\.\d+", str(caught.value))}
    assert set(VERSIONS) == known


def test_a_file_of_a_newer_format_is_refused_untouched(path):
    story = asked(path, None)
    story.plan()
    story.tail(put(A))
    content = path.read_bytes()
    wanted = asked(path, "1.4")
    wanted.plan_id, wanted.generation, wanted.cursor = "plan-1", 1, story.state().cursors[SHARD]
    wanted.sequence = story.sequence

    def check() -> None:
        opened, *_ = wanted.destination.check(())
        assert opened.error is not None
        raise opened.error

    for use in (lambda: wanted.tail(put(B)), check):
        with pytest.raises(DestinationRefused, match=r"format of DuckDB 2\.0.* 1\.4 cannot") as no:
            use()
        assert "Versions of DuckDB" in no.value.hint
    assert path.read_bytes() == content
    wanted.shows(A)
    # Nothing of the refused one holds the file.
    story.tail(put(B))
    story.shows(A, B)


@pytest.mark.parametrize("version", ["1.2", "1.4", "2.0", None])
def test_a_file_of_an_older_format_serves_and_stays(path, version):
    asked(path, "1.0").plan()
    told = asked(path, version)
    told.plan_id, told.generation = "plan-1", 1
    told.tail(put(A))
    told.shows(A)
    assert number_of(path) == READABLE["1.0"]


def test_a_copy_as_the_page_makes_it_goes_on(path, monkeypatch):
    story = asked(path, None)
    story.plan()
    story.tail(put(A))
    monkeypatch.chdir(path.parent)
    (sql,) = re.findall(r"^```sql\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    with duckdb.connect() as connection:
        connection.execute(sql)
    copy = path.with_name("readable.duckdb")
    assert number_of(copy) == READABLE["1.4"]
    going_on = asked(copy, "1.4")
    going_on.plan_id, going_on.generation = "plan-1", 1
    going_on.cursor, going_on.sequence = story.cursor, story.sequence
    going_on.tail(put(B))
    going_on.shows(A, B)


def test_the_page_names_every_version():
    table = "\n".join(line for line in SECTION.splitlines() if line.startswith("| "))
    assert sorted(re.findall(r'`"([\d.]+)"`', table)) == sorted(VERSIONS)
