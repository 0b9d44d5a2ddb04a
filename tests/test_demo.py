"""`connector demo`, as a new user runs it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from connector.demo import source as source
from connector.demo.story import CONTRACT

from .cli.program import ALONE, MODULE
from .rigs.ready import Done, ready
from .test_config_docs import fits_a_table

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("demo")

CONNECTOR = [sys.executable, "-c", "from connector.cli.app import main; main()"]
KEPT = ["1111111", "3333333", "4444444", "5555555", "6666666", "7777777", "8888888", "9999999"]

# The audit hook ends the run, from any thread, at whatever would leave this machine or process.
CONFINED = """
import os
import sys
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
def refuse(event, arguments):
    address = None
    if event in ("socket.connect", "socket.bind") and isinstance(arguments[1], tuple):
        address = arguments[1][0]
    if event == "socket.getaddrinfo":
        address = arguments[0]
    process = event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system")
    if process or (address is not None and address not in LOOPBACK):
        os.write(2, f"{event} {address}".encode())
        os._exit(99)
sys.addaudithook(refuse)
from connector.cli.app import main
main()
"""


def run(
    folder: Path, *flags: str, code: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the demo in a folder, in a session of its own."""
    command = [sys.executable, "-c", code] if code else CONNECTOR
    return subprocess.run(
        [*command, "demo", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        start_new_session=True,
    )


def typed(folder: Path, line: str) -> Done:
    """Runs a command line, which a shell would take apart in the same way."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return ready(MODULE).run(ALONE, shlex.split(line), folder, environment)


def shown(output: str) -> dict[str, str]:
    """The final table's lines by their key."""
    table = output.partition("\n5. ")[2]
    return {line.split()[0]: line for line in table.splitlines() if re.match(r"\d{7} ", line)}


def acts(output: str) -> str:
    """What was printed without what may differ between two runs: times, seconds and commits."""
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", "TIME", output)
    return re.sub(r" \d+ +\d+\.\d +ok", " N  S  ok", output)


def runs(output: str) -> list[dict[str, str]]:
    """The result row of each sync."""
    lines = output.splitlines()
    after = [at + 1 for at, line in enumerate(lines) if " sync " in line and line.startswith(" $")]
    return [dict(zip(lines[at].split(), _cells(lines[at + 1]), strict=False)) for at in after]


def _cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first run leaves its file."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    """The first run, in an empty folder that is also the one for temporary files."""
    return run(folder, TMPDIR=str(folder))


def test_it_shows_the_courses_less_the_deleted_one_with_the_update(first):
    assert first.returncode == 0, first.stderr
    rows = shown(first.stdout)
    assert sorted(rows) == KEPT
    assert source.RIGHT in rows[source.WRONG]
    did = [(row["rows"], row["written"], row["deleted"]) for row in runs(first.stdout)]
    assert did == [("3", "3", "0"), ("5", "4", "1"), ("8", "3", "0")]
    # The key, and what is declared, are there from the beginning.
    assert [row["new_columns"] for row in runs(first.stdout)] == ["0", "0", "1"]
    assert re.search(r"^matching +8 *$", first.stdout, re.MULTILINE)


def test_what_it_shows_is_what_the_commands_print(first, folder):
    """Each command that is shown is followed by its own output and nothing else."""
    for shown_line in re.findall(r"^ \$ connector ((?:query|verify) .+)$", first.stdout, re.M)[1:2]:
        done = typed(folder, shown_line)
        assert done.code == 0, done.stderr
        assert f"{shown_line}\n{done.stdout}" in first.stdout
    keys = {"table", "into", "phase", "rows", "written", "deleted", "commits", "seconds", "result"}
    assert all(keys <= row.keys() for row in runs(first.stdout))


def test_nine_courses_are_put_three_of_them_first():
    courses = (*source.FIRST, *source.SECOND, *source.THIRD)
    ids = [course["courseid"]["S"] for course in courses]
    assert ids == sorted([*KEPT, source.DELETED])
    assert len(source.FIRST) == 3


def test_it_warns_of_its_new_column_only_and_its_table_fits_a_terminal(first):
    (warning,) = first.stderr.splitlines()
    assert warning.endswith(
        "the column 'topics' is new: JSON, first seen in the item with the key [\"7777777\"]"
    )
    table = first.stdout.partition("\n5. ")[2].partition("\nThe file")[0]
    lines = [line for line in table.splitlines() if not line.startswith(" $")]
    assert max(map(len, lines)) <= 100


def test_the_file_it_names_holds_the_rows_and_nothing_else_is_left(first, folder):
    named = re.search(r"^The file: (.+)$", first.stdout, re.MULTILINE)
    assert named
    assert [file.name for file in folder.iterdir()] == ["connector-demo.duckdb"]
    with duckdb.connect(named[1], read_only=True) as connection:
        rows = connection.sql(f'select courseid from "{source.TABLE}" order by all').fetchall()
        said = "select column_name, data_type, comment from duckdb_columns() where table_name = ?"
        columns = {row[0]: row[1:] for row in connection.execute(said, [source.TABLE]).fetchall()}
    assert [row[0] for row in rows] == KEPT
    assert columns["duration"] == ("BIGINT", "How long the course takes, in minutes.")
    # What is described without a type has its comment from the commit that adds it.
    assert columns["topics"] == ("JSON", "What the course is about, as a list.")


def test_what_it_declares_is_in_the_repository_to_be_read():
    mine, shown = CONTRACT, Path(__file__).parent.parent / "schemas" / CONTRACT.name
    assert shown.read_text() == mine.read_text()
    assert fits_a_table(mine.read_text())


def test_the_line_it_prints_can_be_run(first, folder):
    line = re.search(r"^ \$ connector query (.+)$", first.stdout, re.MULTILINE)
    assert line
    query = typed(folder, f"query {line[1]}")
    assert query.code == 0, query.stderr
    assert source.RIGHT in query.stdout


def test_a_second_run_shows_the_same_on_this_machine_whatever_account_or_proxy_there_is(
    first, folder
):
    configuration = folder / "connector.yaml"
    configuration.write_text("this: is not a configuration\n")
    second = run(
        folder,
        code=CONFINED,
        AWS_PROFILE="absent",
        AWS_REGION="eu-central-1",
        AWS_ACCESS_KEY_ID="",
        AWS_ENDPOINT_URL="http://192.0.2.1:1",
        AWS_ENDPOINT_URL_DYNAMODB="http://192.0.2.1:1",
        HTTP_PROXY="http://192.0.2.1:1",
        http_proxy="http://192.0.2.1:1",
        CONNECTOR_DESTINATION__URL="duckdb:///elsewhere.duckdb",
        CONNECTOR_TABLES="{}",
        MOTO_ACCOUNT_ID="000000000000",
        TZ="Asia/Tokyo",
    )
    configuration.unlink()
    assert second.returncode == 0, second.stdout + second.stderr
    assert acts(first.stdout) == acts(second.stdout)
    assert not (folder / "elsewhere.duckdb").exists()


def test_a_file_that_is_not_the_demos_own_is_left_alone(tmp_path):
    file = tmp_path / "mine.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("create table mine as select 1 as one")
    before = file.read_bytes()
    done = typed(tmp_path, "demo --file mine.duckdb")
    assert done.code == 2
    assert "was not created by the demo" in done.stderr
    assert file.read_bytes() == before


def test_without_moto_one_sentence_says_what_to_install(tmp_path):
    (tmp_path / "moto.py").write_text("raise ModuleNotFoundError('moto')\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = run(tmp_path, PYTHONPATH=path)
    assert done.returncode == 2
    assert "pip install '.[demo]'" in done.stderr
    assert "pip install 'moto[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_users_environment_is_given_back(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    before = dict(os.environ)
    with pytest.raises(RuntimeError), source._environment():
        assert "AWS_PROFILE" not in os.environ
        raise RuntimeError
    assert dict(os.environ) == before
