"""What is wrong with an export is one sentence that names the file, before a row is read."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from pyarrow import fs

from connector.errors import ConfigError, ConnectorError, ExportRefused
from connector.sources.exports.finding import newest
from connector.sources.exports.storage import Storage, place
from tests.rigs import exports
from tests.rigs.exports import Export
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB, Table

from .subject import identity, opened

Damage = Callable[[Export], object]


def entry(export: Export, index: int, **members: object) -> None:
    """Changes what is listed of one file."""
    entries = export.entries
    entries[index] |= members
    export.list(*entries)


def cut(path: Path, by: int) -> None:
    """Takes the last bytes of a file away."""
    path.write_bytes(path.read_bytes()[:-by])


def filed(text: str, items: int) -> Damage:
    """Puts these lines in a file, and lists it so."""
    return lambda export: export.replace(0, gzip.compress(text.encode()), items)


def cut_and_listed(export: Export) -> None:
    """A file that was cut off before the export was listed."""
    export.replace(0, export.files[0].read_bytes()[:-12], 4)


SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "summary cut off": (lambda e: cut(e.folder / SUMMARY, 9), f"{SUMMARY} is damaged"),
    "summary edited": (
        lambda e: (e.folder / SUMMARY).write_text(json.dumps(e.summary | {"itemCount": 9})),
        f"{SUMMARY} is damaged",
    ),
    "summary of no object": (lambda e: e.write(SUMMARY, []), "is not the summary of an export"),
    "summary without a table": (lambda e: e.say(tableArn="-"), "is not the summary of an export"),
    "summary without a count": (lambda e: e.say(itemCount="-"), "is not the summary of an export"),
    "negative count": (lambda e: e.say(itemCount=-1), f"{SUMMARY} counts -1 items"),
    "no time": (lambda e: e.say(exportTime="-"), f"{SUMMARY} lacks exportTime"),
    "odd time": (lambda e: e.say(exportTime="yesterday"), "has an exportTime that is no time"),
    "newer version": (lambda e: e.say(version="2027-01-01"), "has the version 2027-01-01"),
    "odd version": (lambda e: e.say(version="v2"), "has the version v2"),
    "other format": (lambda e: e.say(outputFormat="PARQUET"), "is in the format PARQUET"),
    "incremental": (
        lambda e: e.say(exportType="INCREMENTAL_EXPORT", exportTime="-"),
        f"{SUMMARY} is of an incremental export",
    ),
    "filtered": (
        lambda e: e.say(filterSpecification={"FilterExpression": "a = :b"}),
        f"{SUMMARY} was made with a filter",
    ),
    "another table": (
        lambda e: e.say(tableArn="arn:aws:dynamodb:us-west-2:123456789012:table/other"),
        f"{SUMMARY} is of arn:aws:dynamodb:us-west-2:123456789012:table/other, and the table is",
    ),
    "earlier table": (lambda e: e.say(tableId="x"), "of an earlier table of the same name"),
    "no table's id": (lambda e: e.say(tableId="-"), "lacks tableId"),
    "odd checksum": (
        lambda e: (e.folder / "manifest-summary.checksum").write_text("*"),
        f"The checksum beside file://{{root}}/{SUMMARY} is none",
    ),
    "wrong md5 beside the checksum": (
        lambda e: (e.folder / "manifest-files.md5").write_text(exports.md5(b"x")),
        f"{FILES} is damaged",
    ),
    "files edited": (
        lambda e: (e.folder / FILES).write_bytes((e.folder / FILES).read_bytes() + b"\n"),
        f"{FILES} is damaged",
    ),
    "no list": (lambda e: (e.folder / FILES).unlink(), f"lacks the file file://{{root}}/{FILES}"),
    "list of no objects": (lambda e: e.list([1]), f"Line 1 of file://{{root}}/{FILES} is not"),
    "entry without a count": (
        lambda e: e.list({"dataFileS3Key": "AWSDynamoDB/x/data/y"}),
        "is not a data file's entry",
    ),
    "file elsewhere": (
        lambda e: entry(e, 1, dataFileS3Key="other/y.json.gz"),
        "names no data file of an export",
    ),
    "file above": (
        lambda e: entry(e, 1, dataFileS3Key="AWSDynamoDB/x/../../../etc/passwd"),
        "names no data file of an export",
    ),
    "md5 of a file that is none": (lambda e: entry(e, 2, md5Checksum="zz"), "has an MD5 that is"),
    "file twice": (lambda e: e.list(*e.entries, e.entries[0] | {"itemCount": 0}), "twice"),
    "file listed no more": (lambda e: e.list(*e.entries[1:]), "lists files with 6 items"),
    "count of a file": (lambda e: entry(e, 0, itemCount=5), "lists files with 11 items"),
    "file gone": (lambda e: e.files[1].unlink(), "lacks the file file://{file1}"),
    "file of another": (
        lambda e: e.files[1].write_bytes(e.files[2].read_bytes()),
        "file://{file1} is damaged: its MD5",
    ),
    "file cut off": (lambda e: cut(e.files[0], 20), "file://{file0} was cut off"),
    "file cut to nothing": (lambda e: e.files[0].write_bytes(b""), "file://{file0} is damaged"),
    "file cut off and listed": (cut_and_listed, "file://{file0} was cut off"),
    "file of no gzip": (lambda e: e.replace(0, b"{}" * 40, 4), "cannot be decompressed"),
    "file with something behind": (
        lambda e: e.replace(0, e.files[0].read_bytes() + b"more" * 9, 4),
        "cannot be decompressed",
    ),
    "one item less": (
        lambda e: e.replace(0, exports.compressed([{"id": {"S": "a"}}]), 2),
        "file://{file0} has 1 item, and 2 are listed",
    ),
    "one item more": (
        lambda e: e.replace(0, exports.compressed([{"id": {"S": "a"}}] * 3), 2),
        "file://{file0} has 3 items, and 2 are listed",
    ),
    "no item in the first line": (filed("{}\n", 1), "file://{file0} has no item in its line 1"),
    "an incremental line": (
        filed('{"Metadata":{},"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"}}}', 1),
        "has no item in its line 1",
    ),
    "no JSON": (filed("id,n\na,1\n", 2), "has no item in its line 1"),
    "item without its key": (
        filed('{"Item":{"n":{"N":"1"}}}\n', 1),
        "has an item without the key of the table, id (S)",
    ),
    "item with a key of another type": (
        filed('{"Item":{"id":{"N":"1"}}}\n', 1),
        "has an item without the key of the table, id (S)",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_88_it_is_refused_in_one_sentence(table, tmp_path, name):
    damage, says = DAMAGES[name]
    table.load({"id": {"S": f"{n}"}} for n in range(10))
    export = exports.write(tmp_path, table)
    damage(export)
    names = {"root": export.folder} | {f"file{n}": path for n, path in enumerate(export.files)}
    with pytest.raises(ExportRefused) as refused:
        opened(export, table)
    assert says.format(**names) in refused.value.message
    assert refused.value.message.count(". ") == 0
    assert refused.value.hint
    assert refused.value.exit_code == 3


def test_without_checksums_an_export_is_what_it_says(table, tmp_path):
    table.load({"id": {"S": f"{n}"}} for n in range(10))
    export = exports.write(tmp_path, table)
    for path in export.folder.glob("*.checksum"):
        path.unlink()
    opened(export, table)


@pytest.mark.parametrize("spell", [str.strip, lambda text: f'"{text}"\n', lambda text: text + "\n"])
@pytest.mark.parametrize("kind", ["md5", "hexadecimal", "sha-256"])
def test_a_checksum_is_understood_as_it_is_spelled(table, tmp_path, spell, kind):
    table.load({"id": {"S": f"{n}"}} for n in range(10))
    export = exports.write(tmp_path, table)
    for name in ("manifest-summary", "manifest-files"):
        content = (export.folder / f"{name}.json").read_bytes()
        text = {
            "md5": exports.md5(content),
            "hexadecimal": sha256(content).hexdigest(),
            "sha-256": b64encode(sha256(content).digest()).decode(),
        }[kind]
        (export.folder / f"{name}.md5").write_text(spell(text))
    opened(export, table)


def test_an_item_without_a_line_of_its_own_is_found_while_it_is_loaded(table, tmp_path):
    table.load({"id": {"S": f"{n}"}} for n in range(3))
    export = exports.write(tmp_path, table, files=1)
    text = "".join(map(exports.json_line, table.items())) + '{"item":{}}\n'
    export.replace(0, gzip.compress(text.encode()), 4)
    subject = opened(export, table)
    with pytest.raises(ExportRefused, match="has no item in its line 4"):
        subject.page(0, 1, None, json.loads)


def test_a_file_that_changes_after_it_was_checked_ends_no_segment(table, tmp_path):
    table.load({"id": {"S": f"{n}"}} for n in range(3))
    export = exports.write(tmp_path, table, files=1)
    subject = opened(export, table)
    export.files[0].write_bytes(exports.compressed([{"id": {"S": "x"}}] * 3))
    body, _ = subject.page(0, 1, None, json.loads)
    with pytest.raises(ExportRefused, match="its MD5 is another one"):
        subject.page(0, 1, json.dumps(body["LastEvaluatedKey"]), json.loads)


# Which one is taken


class Empty:
    """A bucket without anything in it."""

    def filesystem(self) -> fs.FileSystem:
        """One that has nothing."""
        return fs.SubTreeFileSystem("/nowhere/at/all", fs.LocalFileSystem())

    def moved(self, error: OSError) -> bool:
        """It stays where it is."""
        return False

    def problem(self, error: OSError, path: str, url: str) -> ConnectorError:
        """Nothing goes wrong in it."""
        raise error


def found(root: Path, table: Table) -> str:
    """The folder's name of the export that is taken."""
    storage = Storage(place(root.as_uri()))
    return newest(storage, identity(table)).folder.rpartition("/")[2]


def test_the_newest_by_its_time_is_taken(table, tmp_path):
    table.load({"id": {"S": f"{n}"}} for n in range(3))
    for name, hours in (("02", 1), ("03", 0), ("01", 2)):
        table.clock.advance(hours=hours)
        exports.write(tmp_path, table, name=name)
        table.clock.advance(hours=-hours)
    assert found(tmp_path, table) == "01"


def test_only_full_exports_of_this_very_table_that_are_complete_are_taken(table, tmp_path, caplog):
    mine = exports.write(tmp_path, table, name="01")
    table.clock.advance(hours=1)
    exports.write(tmp_path, table, name="02").say(exportType="INCREMENTAL_EXPORT")
    exports.write(tmp_path, table, name="03").say(tableId="another")
    exports.write(tmp_path, table, name="04").say(tableArn=table.arn + "2")
    exports.write(tmp_path, table, name="05", summary={"filterSpecification": {"x": 1}})
    (exports.write(tmp_path, table, name="06").folder / SUMMARY).unlink()
    cut(exports.write(tmp_path, table, name="07").folder / SUMMARY, 9)
    (tmp_path / "AWSDynamoDB" / "data").mkdir()
    assert found(tmp_path, table) == mine.folder.name
    assert "07/manifest-summary.json is damaged" in caplog.text
    mine.say(exportType="INCREMENTAL_EXPORT")
    with pytest.raises(ExportRefused) as refused:
        found(tmp_path, table)
    assert (
        "of 7 exports, 2 of other tables, 3 not full, 1 not complete, 1 damaged."
        in refused.value.message
    )


def test_without_one_the_hint_says_how_to_take_it(table, tmp_path):
    with pytest.raises(ExportRefused) as refused:
        found(tmp_path, table)
    assert refused.value.message == f"There is no export in file://{tmp_path}/AWSDynamoDB."
    assert "aws dynamodb export-table-to-point-in-time" in refused.value.hint


def test_the_command_for_a_first_export_can_be_run_as_it_is(table):
    storage = Storage(place("s3://bucket/of mine/"), Empty())
    with pytest.raises(ExportRefused) as refused:
        newest(storage, identity(table))
    assert (
        f"aws dynamodb export-table-to-point-in-time --table-arn {table.arn} --s3-bucket bucket "
        "--s3-prefix 'of mine' --export-format DYNAMODB_JSON;"
    ) in refused.value.hint


@pytest.mark.parametrize("below", ["AWSDynamoDB", "AWSDynamoDB/01604474914028-a1b2c3d4"])
def test_a_folder_too_deep_is_told_from_no_export(table, tmp_path, below):
    exports.write(tmp_path, table)
    with pytest.raises(ExportRefused) as refused:
        found(tmp_path / below, table)
    assert refused.value.hint.endswith(f"holds AWSDynamoDB/: {tmp_path.as_uri()}.")


def test_of_two_exports_of_other_offsets_the_later_is_taken(table, tmp_path):
    for name, at in (("01", "2026-01-01T02:00:00+02:00"), ("02", "2026-01-01T01:00:00Z")):
        exports.write(tmp_path, table, name=name).say(exportTime=at)
    assert found(tmp_path, table) == "02"


def test_the_newest_is_refused_if_it_is_damaged_rather_than_an_older_one_loaded(table, tmp_path):
    table.load({"id": {"S": f"{n}"}} for n in range(3))
    exports.write(tmp_path, table, name="01")
    table.clock.advance(hours=1)
    exports.write(tmp_path, table, name="02").files[0].unlink()
    with pytest.raises(ExportRefused, match="lacks the file"):
        found(tmp_path, table)


# What is no export


def test_one_that_is_not_complete_yet_is_told_from_none(table, tmp_path):
    export = exports.write(tmp_path, table)
    (export.folder / SUMMARY).unlink()
    with pytest.raises(ExportRefused, match="is not complete"):
        opened(export, table)
    (export.folder / "_started").unlink()
    with pytest.raises(ExportRefused, match="There is no export in"):
        opened(export, table)


def test_the_folder_above_is_told_from_an_export(table, tmp_path):
    export = exports.write(tmp_path, table)
    export.folder = tmp_path
    with pytest.raises(ExportRefused, match="holds exports, and is none itself"):
        opened(export, table)


@pytest.mark.parametrize("name", ["of mine", "100%41", "50%", "ü", "q?", "#1", "a+b", "a;b"])
def test_a_folder_of_any_name_is_read_and_read_again(table, tmp_path, name):
    export = exports.write(tmp_path / name, table)
    once = place((tmp_path / name).as_uri())
    assert once.path == str(tmp_path / name)
    assert place(once.url(once.path)) == once
    assert found(tmp_path / name, table) == export.folder.name


@pytest.mark.parametrize(
    ("url", "scheme", "path"),
    [
        ("file:/exports", "file", "/exports"),
        ("FILE:///exports/", "file", "/exports"),
        ("file://localhost/exports", "file", "/exports"),
        ("S3://bucket/prefix/", "s3", "bucket/prefix"),
        ("s3://bucket/100%41", "s3", "bucket/100%41"),
    ],
)
def test_an_url_may_be_written_differently(url, scheme, path):
    assert (place(url).scheme, place(url).path) == (scheme, path)


@pytest.mark.parametrize(
    "url", ["", "exports", "/exports", "http://x/y", "s3://", "file://host/x", "s3://k:s@b/x"]
)
def test_what_is_no_place_is_refused(url):
    with pytest.raises(ConfigError, match="no url of a place where exports can be"):
        place(url)


def test_a_key_of_another_schema_is_told_with_all_its_parts(tmp_path):
    table = ScriptedDynamoDB().create_table("orders", KeySchema(Key("id"), Key("at", "N")))
    export = exports.write(tmp_path, table, items=[{"id": {"S": "a"}}])
    with pytest.raises(ExportRefused, match=r"id \(S\) and at \(N\)"):
        opened(export, table)
