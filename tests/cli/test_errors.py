"""Every mistake is one clear sentence, a hint and an exit code; what is stored stays as it is."""

import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs import duckdb_file
from tests.rigs.scripted import ScriptedDynamoDB

from .mistakes import LINES, MISTAKES, SOON, Mistake, Preparation, held, newer_state, no_duckdb
from .program import (
    COMMAND,
    Program,
    assert_one_sentence,
    fingerprints,
)

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_errors")


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    begun: Program, rig: ScriptedDynamoDB, mistake: Mistake
) -> None:
    program = begun.with_(**mistake.variables)
    with mistake.prepare(program, rig):
        before = fingerprints(program.folder)
        done = program(*mistake.arguments, *program.to)
        assert fingerprints(program.folder) == before
    assert_one_sentence(done, mistake.code, mistake.says)


@pytest.mark.parametrize(("arguments", "says"), LINES.values(), ids=LINES)
def test_a_wrong_command_line_is_one_sentence(
    program: Program, arguments: tuple[str, ...], says: str
) -> None:
    done = program(*arguments)
    assert_one_sentence(done, 2, says)
    assert "unexpected" not in done.stderr
    assert "?." not in done.stderr
    assert fingerprints(program.folder) == {}


def test_a_command_line_without_a_command_shows_those_there_are(program: Program) -> None:
    done = program()
    assert done.code == 2
    assert "sync" in done.stdout
    assert "Error" not in done.stderr


@pytest.mark.parametrize("prepare", [held, no_duckdb, newer_state])
@pytest.mark.parametrize(
    "arguments",
    [
        ("reset", ORDERS, "--yes"),
        ("status",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_command_touches_a_file_that_is_not_its_own(
    begun: Program, rig: ScriptedDynamoDB, arguments: tuple[str, ...], prepare: Preparation
) -> None:
    program = begun.with_(**SOON)
    with prepare(program, rig):
        before = fingerprints(program.folder)
        done = program(*arguments, *program.to)
        assert fingerprints(program.folder) == before
    assert_one_sentence(done, 4 if prepare is held else 2, "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://loader:can@ary@db/x", "more than one @"),
        ("postgresql://loader:canary@db/x?sslmod=require", "unknown option, sslmod"),
        ("postgresql://loader:canary@db/x?schema=sales", "unknown option, schema"),
        ("postgresql://loader:canary@db:port/x", "not a port from 1 to 65535"),
        ("postgresql://loader:canary@[::1/x", "neither a name nor an address"),
        ("mysql://loader:canary@db/x", "must begin with duckdb:/// or postgresql://"),
    ],
)
def test_a_wrong_url_of_postgres_is_one_sentence_without_its_password(
    program: Program, url: str, says: str
) -> None:
    (program.folder / "connector.yml").write_text(f"destination: {{url: '{url}'}}")
    in_the_environment = program.with_(CONNECTOR_DESTINATION__URL=url)
    for done in (
        program("sync", ORDERS, "--to", url),
        in_the_environment("status"),
        program("query", "select 1"),
    ):
        assert_one_sentence(done, 2, says)
        assert "ary" not in done.stderr


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=8k none spool || exit 99
"$@"
code=$?
mount -o remount,size=8m none spool
"$@" >again.stdout 2>again.stderr
echo $? >again.code
exit $code
"""


def test_a_full_disk_under_the_spool_is_to_be_tried_again_later(program: Program) -> None:
    (program.folder / "spool").mkdir()
    shell = ("unshare", "--mount", "--map-root-user", "sh", "-c", ON_A_SMALL_DISK, "sh")
    small = program.with_(CONNECTOR_SPOOL="spool")
    done = small("sync", ORDERS, *program.to, command=(*shell, *COMMAND))
    if done.code == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert_one_sentence(done, 4, "no room left in the spool")
    again = program.folder / "again.stderr"
    assert (program.folder / "again.code").read_text() == "0\n", again.read_text()
    with duckdb_file.opened(program.file, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (40,)
