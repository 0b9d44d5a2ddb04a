"""What is wrong with a window is one sentence that names the file, and nothing is written."""

import gzip
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigError, ConnectorError, ExportRefused, WindowsMissing
from connector.sources.exports.data_files import reading
from tests.cli.program import Program, assert_one_sentence
from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, change, order
from tests.rigs import exports
from tests.rigs.exports import Export
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.backups import Export as Asked

from .replica import Exported

HOUR = timedelta(hours=1)
FROM_TO = ("From", "To")
Damage = Callable[[Export], object]


@pytest.fixture
def replica(tmp_path: Path, server: ScriptedDynamoDB) -> Exported:
    """A loaded table that follows exports, and one window that is not read yet."""
    server.clock.advance(hours=-100)
    server.create_table(ORDERS, SCHEMA).load(order(n, 0) for n in range(40))
    made = Exported(server, tmp_path, settings={"spool": str(tmp_path / "spool")})
    made.keep(follow="exports")
    server.clock.advance(seconds=2)
    at = made.now()
    exports.write(tmp_path / "exports", made.model, at, name="full")
    made.sync()
    change(made)
    server.clock.advance(hours=1)
    made.window(at, name="window")
    return made


def window(replica: Exported) -> Export:
    """The window that is not read yet."""
    root = replica.folder / "exports"
    export = Export(root, root / "AWSDynamoDB" / "window", "exports/of orders")
    keys = (each["dataFileS3Key"].removeprefix(f"{export.prefix}/") for each in export.entries)
    export.files = [root / each for each in keys]
    return export


def refused(replica: Exported) -> ConnectorError:
    """What a sync says, which leaves the table as it was."""
    numbers, before = replica.numbers(), replica.state()
    with pytest.raises(ConnectorError) as caught:
        replica.sync()
    after = replica.state()
    assert (replica.numbers(), after.cursors, after.commit) == (
        numbers,
        before.cursors,
        before.commit,
    )
    return caught.value


def cut(export: Export) -> None:
    """Takes the last bytes of a file away."""
    path = export.files[0]
    path.write_bytes(path.read_bytes()[:-20])


def packed_again(export: Export) -> bytes:
    """The same lines, compressed in another way."""
    return gzip.compress(gzip.decompress(export.files[0].read_bytes()), 1)


def lines(*texts: str) -> Damage:
    """Puts these lines in a file, and lists it so."""
    content = gzip.compress("".join(f"{text}\n" for text in texts).encode())
    return lambda export: export.replace(0, content, len(texts))


TIME = '"Metadata": {"WriteTimestampMicros": {"N": "1763978400000000"}}'
CASES: dict[str, tuple[Damage, str]] = {
    "a file that was cut off": (cut, "was cut off"),
    "a file that is not there": (lambda e: e.files[1].unlink(), "The export lacks the file"),
    "a file of another sum": (lambda e: e.replace(0, packed_again(e)), "another one"),
    "another count": (lambda e: e.say(itemCount=3), "and the summary counts 3"),
    "no list of files": (
        lambda e: (e.folder / "manifest-files.json").unlink(),
        "lacks the file",
    ),
    "a damaged list": (
        lambda e: (e.folder / "manifest-files.json").write_text("{}"),
        "its checksum is another one",
    ),
    "a damaged summary": (
        lambda e: (e.folder / "manifest-summary.json").write_text("{"),
        "manifest-summary.json is damaged",
    ),
    "no time": (lambda e: e.say(exportToTime="-"), "lacks exportToTime"),
    "a time that is none": (lambda e: e.say(exportFromTime="now"), "an exportFromTime that is no"),
    "an end before the beginning": (
        lambda e: e.say(exportToTime="2020-01-01T00:00:00Z"),
        "ends before it begins",
    ),
    "a format of the future": (lambda e: e.say(outputFormat="PARQUET"), "in the format PARQUET"),
    "a newer version": (lambda e: e.say(version="2030-01-01"), "has the version 2030-01-01"),
    "a filter": (lambda e: e.say(filterSpecification={"x": "y"}), "was made with a filter"),
    "a line of a full export": (lines('{"Item": {"id": {"S": "1"}}}'), "no change in its line 1"),
    "a line that is cut off": (lines("{" + TIME), "no change in its line 1"),
    "a line without a time": (lines('{"Keys": {"id": {"S": "1"}}}'), "no change in its line 1"),
    "a time that is no number": (
        lines('{"Keys": {"id": {"S": "1"}}, "Metadata": {"WriteTimestampMicros": {"N": "x"}}}'),
        "no change in its line 1",
    ),
    "a line without a key": (lines("{" + TIME + ', "Keys": {}}'), "without the key of the table"),
    "a key of another type": (
        lines("{" + TIME + ', "Keys": {"id": {"N": "1"}}}'),
        "without the key of the table",
    ),
}


def test_a_window_that_is_not_as_it_should_be(replica, subtests):
    root = replica.folder / "exports"
    good = shutil.copytree(root, replica.folder / "good")
    for case, (damage, says) in CASES.items():
        with subtests.test(case):
            damage(window(replica))
            error = refused(replica)
            assert isinstance(error, ExportRefused)
            assert says in error.message
            assert error.hint
            assert replica.state().problem == f"ExportRefused: {error.message}"
        shutil.rmtree(root)
        shutil.copytree(good, root)
    replica.sync()
    replica.assert_equal()


def test_a_window_with_a_filter_that_only_aws_knows_of(replica):
    arn = window(replica).summary["exportArn"]
    parameters = {"TableArn": replica.model.arn, "FilterSpecification": {"x": "y"}}
    replica.rig.backups.exports[arn] = Asked(arn, parameters, 0.0, "COMPLETED")
    assert "was made with a filter" in refused(replica).message


def test_windows_of_others_and_those_under_way_are_passed_over(replica):
    export = window(replica)
    export.say(tableId="0b5b3b2e-0000-0000-0000-000000000000")
    pending = replica.folder / "exports/AWSDynamoDB/pending"
    pending.mkdir()
    (pending / "_started").touch()
    before = replica.state().cursors
    replica.sync()
    assert replica.state().cursors == before
    change(replica, 2)
    replica.rig.clock.advance(hours=1)
    replica.window(datetime.fromisoformat(export.summary["exportToTime"]))
    error = refused(replica)
    assert isinstance(error, WindowsMissing)
    assert "(1 export of other tables, 1 export not complete)" in error.message
    export.say(tableId=replica.model.id)
    replica.sync()
    replica.assert_equal()


def test_a_window_that_goes_away_while_it_is_read_is_told(replica, monkeypatch):
    monkeypatch.setattr(reading, "LINES_BYTES", 300)
    replica.settings["tail.batch_records"] = 1
    there, away = window(replica).folder, replica.folder / "away"
    # A run ends in the middle of it, and the next one does not find it.
    replica.sync(lambda tail: '"file"' in (replica.state().shards["exports"].token or ""))
    assert '"file"' in replica.state().shards["exports"].token
    there.rename(away)
    assert "was read in part, and is no longer there as it was" in refused(replica).message
    away.rename(there)
    replica.sync()
    replica.assert_equal()


def test_without_a_place_for_exports_the_key_is_named(replica):
    del replica.settings["exports.url"]
    with pytest.raises(ConfigError) as caught:
        replica.sync()
    assert "exports.url" in caught.value.hint


def test_a_table_that_was_never_synced_has_nothing_to_repair(replica, tmp_path):
    (tmp_path / "new").mkdir()
    new = Exported(replica.rig, tmp_path / "new")
    with pytest.raises(ConfigError) as caught:
        new.run().repair(caught_up)
    assert "was never synced here" in caught.value.message


@pytest.mark.parametrize("setting", ["follow: exports", "on_gap: repair"])
@pytest.mark.parametrize("command", ["check", "sync", "repair"])
def test_a_setting_that_needs_exports_needs_their_place(tmp_path, setting, command):
    text = f"destination: {{url: 'duckdb:///wh.duckdb'}}\ntables: {{orders: {{{setting}}}}}\n"
    (tmp_path / "connector.yaml").write_text(text)
    done = Program(tmp_path, "http://127.0.0.1:9")(command, "orders")
    says = "tables.orders needs incremental exports, and nothing says where they are"
    if command == "check":
        assert done.code == 2
        assert says in done.stdout
    else:
        assert_one_sentence(done, 2, says)
    assert "exports.url" in done.stdout + done.stderr
    assert not (tmp_path / "wh.duckdb").exists()


def test_a_full_export_with_a_filter_that_only_aws_knows_of(replica, tmp_path):
    (tmp_path / "new").mkdir()
    new = Exported(replica.rig, tmp_path / "new")
    new.keep(follow="none")
    root = tmp_path / "new/exports"
    whole = exports.write(root, replica.model, replica.now() - HOUR, name="whole")
    change(replica)
    part = exports.write(root, replica.model, items=[order(1)], name="part")
    arn = part.summary["exportArn"]
    parameters = {"TableArn": replica.model.arn, "FilterSpecification": {"x": "y"}}
    replica.rig.backups.exports[arn] = Asked(arn, parameters, 0.0, "COMPLETED")
    with pytest.raises(ExportRefused, match="was made with a filter"):
        new.run_of(part).plan(None)
    assert new.run().plan(None).origin == whole.url


@pytest.mark.parametrize("minutes", [1, 30])
def test_a_first_window_that_begins_before_the_export_is_told(replica, minutes):
    late = window(replica)
    begin, end = (datetime.fromisoformat(late.summary[f"export{each}Time"]) for each in FROM_TO)
    shutil.rmtree(late.folder)
    replica.window(begin - timedelta(minutes=minutes), end, name="early")
    error = refused(replica)
    assert isinstance(error, WindowsMissing)
    assert f"begins exactly at {begin:%Y-%m-%dT%H:%M:%SZ}" in error.message
    assert f"ExportFromTime={begin:%Y-%m-%dT%H:%M:%SZ}" in error.hint
    replica.window(begin, end, name="exact")
    replica.sync()
    replica.assert_equal()
