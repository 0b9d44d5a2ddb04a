"""What an export holds is what a scan would have read, in both formats, however it was copied."""

import gzip
import json
import shutil
import threading
from pathlib import Path

import pytest

from connector.sources.exports import snapshot
from connector.sources.exports.data_files import reading
from tests.destinations.items import NAMES, VALUES
from tests.rigs import exports
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB, Table

from .subject import encoded, moved, opened, read

TEXTS = [
    "\u2028",
    "\u2029",
    "\x85",
    "\x0b\x0c\x1c",
    "line\nfeed",
    "\r\n",
    "tab\t",
    '"\\',
    "",
    "\x00",
]


def fill(table: Table, number: int = 50) -> None:
    """Items that are alike."""
    table.load({"id": {"S": f"{n}"}, "n": {"N": f"{n}.5"}} for n in range(number))


@pytest.mark.parametrize("form", exports.FORMS)
def test_every_type_of_value_is_read_exactly(table, tmp_path, form):
    table.load({"id": {"S": name}, name: value, "v": value} for name, value in VALUES.items())
    rows, bad, times = read(opened(exports.write(tmp_path, table, form=form), table), table)
    assert (rows, bad) == (encoded(table), [])
    assert times == {table.clock.datetime()}


@pytest.mark.parametrize("form", exports.FORMS)
def test_any_name_and_any_text_stays_in_its_line(table, tmp_path, form):
    table.load({"id": {"S": f"{n}"}, name: {"S": name[:9]}} for n, name in enumerate(NAMES))
    table.load({"id": {"S": f"t{n}{text}"}, "text": {"S": text}} for n, text in enumerate(TEXTS))
    rows, bad, _ = read(opened(exports.write(tmp_path, table, form=form), table), table)
    assert (rows, bad) == (encoded(table), [])


@pytest.mark.parametrize("form", exports.FORMS)
@pytest.mark.parametrize(
    "value",
    [
        {"S": "x" * 400_000},
        {"S": "\u2028" * 130_000},
        {"B": "AAEC" * 133_000},
        {"L": [{"S": "y" * 20_001}] * 19},
        {"SS": ["z" * 99_000, "a" * 99_000]},
    ],
    ids=["text", "wide text", "binary", "list", "set"],
)
def test_the_largest_items_are_read(table, tmp_path, form, value):
    table.load([{"id": {"S": "1"}, "v": value}, {"id": {"S": "2"}, "v": value}])
    rows, bad, _ = read(opened(exports.write(tmp_path, table, form=form), table), table)
    assert (rows, bad) == (encoded(table), [])


@pytest.mark.parametrize("form", exports.FORMS)
@pytest.mark.parametrize(
    ("schema", "items"),
    [
        (KeySchema(Key("id", "B")), [{"id": {"B": "AAEC"}}, {"id": {"B": "/w=="}}]),
        (KeySchema(Key("id", "N")), [{"id": {"N": "1"}}, {"id": {"N": "-1E-130"}}]),
        (
            KeySchema(Key("id"), Key("at", "N")),
            [{"id": {"S": "a"}, "at": {"N": "1.50"}}, {"id": {"S": "a"}, "at": {"N": "2"}}],
        ),
    ],
    ids=["binary", "number", "two parts"],
)
def test_keys_of_every_type_are_read(tmp_path, form, schema, items):
    table = ScriptedDynamoDB().create_table("orders", schema)
    table.load(items)
    rows, bad, _ = read(opened(exports.write(tmp_path, table, form=form), table), table)
    assert (rows, bad) == (encoded(table), [])


@pytest.mark.parametrize("form", exports.FORMS)
@pytest.mark.parametrize("again", [(), (1,), (1, 2, 3, 4, 5)])
def test_a_reading_goes_on_at_any_page_with_any_number_of_segments(
    table, tmp_path, form, again, monkeypatch
):
    monkeypatch.setattr(reading, "LINES_BYTES", 500)
    fill(table)
    export = exports.write(tmp_path, table, form=form, files=4)
    for segments in (1, 3, 4, 9):
        rows, bad, _ = read(opened(export, table), table, segments, again)
        assert (rows, bad) == (encoded(table), [])


def test_it_goes_on_in_pages_of_another_size(table, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LINES_BYTES", 700)
    fill(table)
    subject = opened(exports.write(tmp_path, table, files=1), table)
    items: list[bytes] = []

    def take(body: bytes) -> str | None:
        page = json.loads(body)
        items.extend(json.dumps(item).encode() for item in page["Items"])
        after = page.get("LastEvaluatedKey")
        return None if after is None else json.dumps(after)

    token, _ = subject.page(0, 1, None, take)
    monkeypatch.setattr(reading, "LINES_BYTES", 300)
    subject = snapshot.ExportSnapshot(subject._storage, subject._export)
    while token is not None:
        token, _ = subject.page(0, 1, token, take)
    assert sorted(items) == sorted(json.dumps(item).encode() for item in table.items())


def test_a_reading_that_is_given_up_leaves_no_thread(table, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LINES_BYTES", 700)
    fill(table)
    before = threading.active_count()
    subject = opened(exports.write(tmp_path, table, files=1), table)
    body, _ = subject.page(0, 1, None, json.loads)
    assert len(body["Items"]) < 50
    assert threading.active_count() == before + 1, "blocks are read ahead"
    del subject
    assert threading.active_count() == before


@pytest.mark.parametrize("form", exports.FORMS)
@pytest.mark.parametrize("files", [0, 1, 5])
def test_an_export_of_an_empty_table_has_no_rows(table, tmp_path, form, files):
    export = exports.write(tmp_path, table, form=form, files=files)
    for each in export.files[1:3]:
        # Some writers compress nothing to a file that is not empty.
        export.replace(export.files.index(each), gzip.compress(b""), 0)
    subject = opened(export, table)
    for segments in (1, 7):
        for segment in range(segments):
            body, _ = subject.page(segment, segments, None, json.loads)
            assert body == {"Items": [], "Count": 0, "ScannedCount": 0}


def test_files_without_items_stand_among_others(table, tmp_path):
    fill(table, 2)
    rows, bad, _ = read(opened(exports.write(tmp_path, table, files=6), table), table, 2)
    assert (rows, bad) == (encoded(table), [])


def test_a_copy_is_read_wherever_it_is(table, tmp_path):
    fill(table)
    export = exports.write(tmp_path / "there", table)
    shutil.copytree(tmp_path / "there", tmp_path / "here" / "or there")
    shutil.rmtree(tmp_path / "there")
    copy = moved(export, tmp_path / "here" / "or there")
    assert read(opened(copy, table), table)[0] == encoded(table)


def test_the_folder_of_one_export_alone_is_a_copy_too(table, tmp_path):
    fill(table)
    export = exports.write(tmp_path / "there", table)
    (export.folder).rename(tmp_path / "mine?of #1 é")
    export.folder = tmp_path / "mine?of #1 é"
    assert read(opened(export, table), table)[0] == encoded(table)


def test_gzip_files_one_after_the_other_are_one_file(table, tmp_path):
    fill(table, 8)
    export = exports.write(tmp_path, table, files=1)
    items = table.items()
    export.replace(0, exports.compressed(items[:3]) + exports.compressed(items[3:]), 8)
    assert read(opened(export, table), table)[0] == encoded(table)


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text.replace('{"Item":{', '{ "Item" : {'),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "\n \n" + text,
    ],
    ids=["spaces", "carriage returns", "blank lines", "no last line feed", "blank first lines"],
)
def test_lines_that_others_write_differently_are_the_same_items(table, tmp_path, spell):
    fill(table, 9)
    export = exports.write(tmp_path, table, files=1)
    text = "".join(map(exports.json_line, table.items()))
    export.replace(0, gzip.compress(spell(text).encode()), 9)
    assert read(opened(export, table), table)[0] == encoded(table)


@exports.needs_ion
def test_ion_of_other_writers_is_read(table, tmp_path):
    table.load([{"id": {"S": "1"}, "n": {"N": "5"}, "x": {"NULL": True}, "s": {"S": "é"}}])
    export = exports.write(tmp_path, table, form="ION", files=1)
    line = '$ion_1_0\n$ion_1_0{"Item":{id:"1",n:5,\'x\':null.string,s:"\\u00e9"}}'
    export.replace(0, gzip.compress(line.encode()), 1)
    assert read(opened(export, table), table)[0] == encoded(table)


@pytest.mark.parametrize(
    "value",
    [
        '{"ZZ":"1"}',
        "{}",
        '{"N":5}',
        '{"N":"39000000000000000000000000000000000000.9"}',
        '{"S":"\\ud800"}',
        '{"B":"?"}',
        '{"SS":[]}',
        '{"M":' * 3000 + "{}" + "}" * 3000,
    ],
)
def test_an_item_that_cannot_be_stored_is_told_by_its_key(table, tmp_path, value):
    fill(table, 4)
    export = exports.write(tmp_path, table, files=1)
    good = "".join(map(exports.json_line, table.items()))
    line = f'{{"Item":{{"id":{{"S":"bad"}},"v":{value}}}}}\n'
    export.replace(0, gzip.compress((good + line).encode()), 5)
    rows, (bad,), _ = read(opened(export, table), table)
    assert rows == encoded(table)
    assert bad.key == '["bad"]'


@exports.needs_ion
@pytest.mark.parametrize(
    "value", ["1e0", "2020-01-01T", "$dynamodb_XX::[1.]", "$dynamodb_SS::[1.]"]
)
def test_an_ion_value_without_a_type_of_dynamodb_is_told_by_its_key(table, tmp_path, value):
    fill(table, 4)
    export = exports.write(tmp_path, table, form="ION", files=1)
    good = "".join(map(exports.ion_line, table.items()))
    line = f'$ion_1_0 {{Item:{{id:"bad",v:{value}}}}}\n'
    export.replace(0, gzip.compress((good + line).encode()), 5)
    rows, (bad,), _ = read(opened(export, table), table)
    assert rows == encoded(table)
    assert bad.key == '["bad"]'


def test_a_copy_is_found_where_its_manifests_are_even_below_another_awsdynamodb(table, tmp_path):
    fill(table)
    export = exports.write(tmp_path, table)
    there: Path = export.folder.parent / "renamed"
    export.folder.rename(there)
    export.folder = there
    assert read(opened(export, table), table)[0] == encoded(table)
