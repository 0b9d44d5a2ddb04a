"""The real program with exports: what it says, how it leaves, and what a kill leaves behind."""

import json
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from connector import failpoints
from tests.cli.program import COMMAND, Program, assert_one_sentence, fingerprints
from tests.pipeline.replica import ORDERS, SCHEMA, change, key, order
from tests.rigs import exports
from tests.rigs.exports import Export
from tests.rigs.s3 import ScriptedS3
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import Exported

pytestmark = pytest.mark.by_turns("destination")

HOUR = timedelta(hours=1)
AROUND_LOAD = ("plan.after_commit", "spool.after_rename", "load.before_commit")
"""A load from an export is killed there for each destination; everywhere for one."""
CASES = [("duckdb", point) for point in [*failpoints.NAMES, "scan.after_page:3"]]
CASES += [("postgres", point) for point in AROUND_LOAD]
MANY, FEW = 3000, 300
"""Items of several pages, and of one: only a scan, and what it leaves, is about pages."""
SETTINGS = {"CONNECTOR_SCAN__SEGMENTS": "2", "CONNECTOR_TAIL__BATCH_RECORDS": "1"}


@pytest.fixture
def items() -> int:
    """How many items the table has."""
    return FEW


@pytest.fixture
def rig(server: ScriptedDynamoDB, items: int) -> ScriptedDynamoDB:
    """A table of orders from before its stream."""
    server.clock.advance(hours=-2)
    table = server.create_table(ORDERS, SCHEMA)
    table.load({**order(n, -1), "s": {"S": "x" * 2000}} for n in range(items))
    server.clock.advance(hours=2)
    return server


def written(rig: ScriptedDynamoDB, folder: Path, **options: object) -> Export:
    """An export of an hour ago."""
    model = rig.model(ORDERS)
    return exports.write(folder / "exports", model, model.clock.datetime() - HOUR, **options)


@pytest.fixture
def program(rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program in a folder with a configuration."""
    place = (tmp_path / "exports").as_uri()
    settings = f"tables: {{{ORDERS}: {{snapshot: export}}}}\nexports: {{url: '{place}'}}\n"
    (tmp_path / "connector.yaml").write_text(settings)
    return Program(tmp_path, rig.url)


def test_a_snapshot_of_an_export_scans_nothing(rig, program, tmp_path):
    export = written(rig, tmp_path)
    change_some(rig)
    done = program("snapshot", ORDERS, "--export", export.url, *program.to, "-o", "json")
    assert done.code == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert told["phase"] == "tailing"
    assert told["rows"] == len(rig.model(ORDERS))
    assert rig.calls.count("Scan") == 0
    replica = Exported(rig, tmp_path)
    replica.assert_equal()
    assert replica.verdict().equal
    assert program("status", *program.to).code == 0


def change_some(rig: ScriptedDynamoDB) -> None:
    """Writes of every kind."""
    table = rig.model(ORDERS)
    table.put(*(order(n, 5) for n in range(10)), order("new", 5))
    table.delete(*(key(n) for n in range(10, 20)))


@pytest.mark.by_turns("form")
@pytest.mark.parametrize("form", exports.FORMS)
def test_processes_read_the_files_of_a_bucket(rig, program, tmp_path, form):
    written(rig, tmp_path, form=form, files=5)
    change_some(rig)
    with ScriptedS3(tmp_path) as bucket:
        program.environment["AWS_ENDPOINT_URL_S3"] = bucket.url
        program.environment["CONNECTOR_EXPORTS__URL"] = bucket.key(tmp_path / "exports")
        done = program("sync", ORDERS, "--workers", "2", *program.to, command=COMMAND)
        assert done.code == 0, done.stderr
        assert {each.access_key for each in bucket.asked} == {"test"}
    replica = Exported(rig, tmp_path)
    replica.assert_equal()
    assert rig.calls.count("Scan") == 0


@pytest.mark.by_turns("destination", "point", "items", at_once=4)
@pytest.mark.parametrize(
    ("destination", "point", "items"),
    [(*each, MANY if each[1].startswith(("scan.", "spool.")) else FEW) for each in CASES],
)
def test_the_run_after_a_crash_brings_everything(
    rig, program, tmp_path, destination, point, request
):
    written(rig, tmp_path)
    change_some(rig)
    url = request.getfixturevalue("kept_postgres").url if destination == "postgres" else ""
    spool = str(tmp_path / ".connector/spool")
    program.environment |= {"CONNECTOR_FAILPOINT": point, "CONNECTOR_SPOOL": spool, **SETTINGS}
    program.database = url
    done = program("sync", ORDERS, *program.to)
    assert done.code == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
    settings: dict[str, object] = {"scan.segments": 2, "spool": spool}
    replica = Exported(rig, tmp_path, settings=settings, database=url)
    change(replica, 7)
    replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()
    assert replica.verdict().equal
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.mark.by_turns("point")
@pytest.mark.parametrize("point", ["plan.after_commit", "spool.after_rename", "load.before_commit"])
def test_the_same_command_goes_on_with_an_export_that_the_file_does_not_choose(
    rig, program, tmp_path, point
):
    export = written(rig, tmp_path)
    (tmp_path / "connector.yaml").write_text(f"tables: {{{ORDERS}: {{}}}}\n")
    change_some(rig)
    command = ("snapshot", ORDERS, "--export", export.url, *program.to)
    program.environment |= {"CONNECTOR_FAILPOINT": point, **SETTINGS}
    assert program(*command).code == -signal.SIGKILL
    del program.environment["CONNECTOR_FAILPOINT"]
    refused = program("sync", ORDERS, *program.to)
    assert_one_sentence(refused, 2, "snapshot")
    done = program(*command)
    assert done.code == 0, done.stderr
    assert rig.calls.count("Scan") == 0
    assert program("sync", ORDERS, *program.to).code == 0
    Exported(rig, tmp_path).assert_equal()


# What is wrong


def test_a_damaged_export_is_one_sentence_and_nothing_is_written(rig, program, tmp_path):
    export = written(rig, tmp_path)
    export.files[2].write_bytes(export.files[2].read_bytes()[:-30])
    before = fingerprints(tmp_path)
    done = program("snapshot", ORDERS, "--export", export.url, *program.to)
    assert_one_sentence(done, 3, f"{export.files[2].as_uri()} was cut off")
    after = fingerprints(tmp_path)
    assert {name: after.get(name) for name in before} == before
    assert program("query", "SELECT 1 FROM orders", *program.to).code == 2


def test_an_export_that_the_stream_does_not_reach_is_refused_with_commands(rig, program, tmp_path):
    model = rig.model(ORDERS)
    export = exports.write(tmp_path / "exports", model, model.clock.datetime() - 72 * HOUR)
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 3, f"The export {export.url} is of")
    (hint,) = done.lines("Hint: ")
    assert hint.count("INCREMENTAL_EXPORT") == 3
    assert rig.calls.count("Scan") == 0


def test_without_the_extra_ion_the_sentence_names_it(rig, program, tmp_path):
    export = written(rig, tmp_path, form="ION")
    (tmp_path / "amazon").mkdir()
    (tmp_path / "amazon" / "__init__.py").write_text("raise ModuleNotFoundError('amazon')\n")
    path = program.variables()["PYTHONPATH"]
    alone = program.with_(PYTHONPATH=f"{tmp_path}:{path}")
    done = alone("snapshot", ORDERS, "--export", export.url, *program.to, command=COMMAND)
    assert_one_sentence(done, 2, "An export in Ion needs the extra `ion`")
    assert "pip install" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--export", "exports"], "--export: This is no url of a place"),
        (["--export", "s3://key:secret@bucket/x"], "--export: This is no url of a place"),
        (["--export", ""], "--export: This is no url of a place"),
        (["users", "--export", "s3://bucket/x"], "An export is of one table"),
    ],
)
def test_a_flag_that_names_no_export_is_refused(rig, program, tmp_path, arguments, says):
    (tmp_path / "connector.yaml").unlink()
    done = program("snapshot", ORDERS, *arguments, *program.to)
    assert_one_sentence(done, 2, says)
    assert "secret" not in done.stderr


def test_no_export_there_is_told_from_a_damaged_one(rig, program, tmp_path):
    written(rig, tmp_path)
    shutil.rmtree(tmp_path / "exports")
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 3, "There is no export in")


def test_a_place_that_is_none_is_a_mistake_of_the_file(program, tmp_path):
    (tmp_path / "connector.yaml").write_text("exports: {url: 'ftp://x/y'}\ntables: {orders: {}}\n")
    done = program("sync", *program.to)
    assert_one_sentence(done, 2, "exports.url")


def test_a_check_shows_the_newest_export_and_that_a_scan_is_for_verify(rig, program, tmp_path):
    export = written(rig, tmp_path)
    done = program("check", *program.to, "-o", "json")
    assert done.code == 0, done.stderr
    lines = {each["check"]: each for each in json.loads(done.stdout)}
    assert lines["export"]["detail"].startswith(f"{export.url}, 300 items as of ")
    assert "needed for verify" in lines["Scan"]["detail"]
    shutil.rmtree(tmp_path / "exports")
    done = program("check", *program.to, "-o", "json")
    assert done.code == 2
    lines = {each["check"]: each for each in json.loads(done.stdout)}
    assert lines["export"]["ok"] is False
    assert "aws dynamodb export-table-to-point-in-time" in lines["export"]["fix"]


@pytest.mark.parametrize("name", ["%41 b", "c?"])
def test_a_folder_of_any_name(rig, program, tmp_path, name):
    written(rig, tmp_path / name)
    place = (tmp_path / name / "exports").as_uri()
    program.environment["CONNECTOR_EXPORTS__URL"] = place
    done = program("sync", ORDERS, *program.to)
    assert done.code == 0, done.stderr
    Exported(rig, tmp_path).assert_equal()


def test_an_old_export_that_is_named_is_refused_with_commands(rig, program, tmp_path):
    (tmp_path / "connector.yaml").write_text(f"tables: {{{ORDERS}: {{}}}}\n")
    model = rig.model(ORDERS)
    export = exports.write(tmp_path / "exports", model, model.clock.datetime() - 72 * HOUR)
    done = program("snapshot", ORDERS, "--export", export.url, *program.to)
    assert_one_sentence(done, 3, f"The export {export.url} is of")
    assert done.stderr.count("INCREMENTAL_EXPORT") == 3
    assert not program.file.exists()


def test_the_manifest_that_aws_names_is_its_export(rig, program, tmp_path):
    url = f"{written(rig, tmp_path).url}/manifest-summary.json"
    done = program("snapshot", ORDERS, "--export", url, *program.to)
    assert done.code == 0, done.stderr
    assert program("snapshot", ORDERS, "--export", url, *program.to).code == 0
    Exported(rig, tmp_path).assert_equal()
