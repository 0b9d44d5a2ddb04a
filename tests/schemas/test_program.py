"""`connector schema infer` and `connector schema diff`, as processes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from tests.cli.program import Program, assert_one_sentence, fingerprints
from tests.pipeline.replica import ORDERS, SCHEMA, key
from tests.rigs import duckdb_file
from tests.rigs.postgres import known
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

pytestmark = pytest.mark.by_turns("program")

SECRET = "canary-7f3a"
TYPES = {
    "n": "integer",
    "price": "decimal(38,2)",
    "s": "string",
    "flag": "boolean",
    "raw": "binary",
    "info": "json",
    "mixed": "json",
    "at": "integer",
}


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A server of this test's own."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        yield running


def item(number: int) -> dict[str, Any]:
    """An item with an attribute of each type."""
    return {
        **key(number),
        "n": {"N": str(number)},
        "price": {"N": f"{number}.25"},
        "s": {"S": f"{SECRET} {number}"},
        "flag": {"BOOL": number % 2 == 0},
        "raw": {"B": "eHl6"},
        "info": {"M": {"a": {"S": SECRET}}},
        "mixed": {"S": "x"} if number % 2 else {"N": "7"},
        "at": {"N": str(1_700_000_000_000 + number)},
        **({"rare": {"S": "2024-05-06T07:08:09Z"}} if number == 3 else {}),
        **({"nothing": {"NULL": True}} if number == 4 else {}),
    }


@pytest.fixture(params=["duckdb", "postgres"])
def program(request: pytest.FixtureRequest, rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """Orders with every type, on each kind of destination, and a configuration."""
    rig.create_table(ORDERS, SCHEMA).load(item(n) for n in range(10))
    postgres = request.param == "postgres"
    url = request.getfixturevalue("kept_postgres").url if postgres else ""
    made = Program(tmp_path, rig.url, database=url)
    to = url or f"duckdb:///{made.file}"
    (tmp_path / "connector.yaml").write_text(
        f"destination: {{url: {json.dumps(to)}}}\ntables:\n  orders: {{into: sales}}\n"
    )
    return made


def file_of(program: Program) -> Path:
    """The file of the table."""
    return program.folder / "schemas" / "orders.yaml"


def entries(text: str) -> dict[str, Any]:
    """The entries of a file."""
    found = yaml.safe_load(text)["columns"]
    assert isinstance(found, dict)
    return found


def by_hand(program: Program, statement: str) -> None:
    """Changes the destination as another user of it would."""
    if program.database:
        known(program.database).by_hand(statement)
        return
    with duckdb_file.opened(program.file) as connection:
        connection.execute(statement)


def test_that_nothing_differs_is_said(program: Program) -> None:
    assert program("sync").code == 0
    assert program("schema", "infer", ORDERS).code == 0
    shown = program("schema", "diff", ORDERS)
    assert (shown.code, shown.stdout) == (0, "")
    assert "orders: nothing differs from what is declared" in shown.stderr


def difference(program: Program) -> tuple[int, list[dict[str, Any]]]:
    """What `schema diff` answers."""
    done = program("schema", "diff", ORDERS, "-o", "json")
    assert done.code in (0, 3), done.stderr
    found = json.loads(done.stdout)
    assert bool(found) == (done.code == 3)
    return done.code, found


def test_a_table_in_the_warehouse_is_written_down_and_nothing_changes(program: Program) -> None:
    assert program("sync").code == 0
    done = program("schema", "infer", ORDERS, "-o", "json")
    assert done.code == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row == {"table": ORDERS, "file": "schemas/orders.yaml", "columns": 10, "rows": 10}
    text = file_of(program).read_text()
    assert SECRET not in text
    types = {name: each.get("type") for name, each in entries(text).items()}
    # Without a declaration, Postgres has decimals of any length.
    price = None if program.database else TYPES["price"]
    assert types == {"id": None, **TYPES, "rare": "string", "price": price}
    assert "# the partition key, string\n  id: {}\n" in text
    assert "# string, in all of 10 rows\n  s:\n" in text
    assert "# string, in 1 of 10 rows; looks like type: timestamp\n  rare:\n" in text
    assert "in all of 10 rows; looks like type: timestamp, from: epoch_ms\n  at:\n" in text
    assert difference(program) == (0, [])
    done = program("sync", "-o", "json")
    assert done.code == 0, done.stderr
    (ran,) = json.loads(done.stdout)
    assert (ran["written"], ran["new_columns"], ran["rows"]) == (0, 0, 10)
    assert difference(program) == (0, [])
    assert program("verify", ORDERS).code == 0


@pytest.mark.by_turns("program", "synced")
@pytest.mark.parametrize("synced", [True, False])
def test_a_column_that_a_path_has_taken_needs_no_entry(
    program: Program, rig: ScriptedDynamoDB, synced: bool
) -> None:
    rig.model(ORDERS).put({**item(3), "\\n": {"S": "an attribute of that name"}})
    file_of(program).parent.mkdir()
    file_of(program).write_text("columns: {s: {path: info.a}}\n")
    if synced:
        assert program("sync").code == 0
    done = program("schema", "infer", ORDERS, "--force")
    assert done.code == 0, done.stderr
    found = entries(file_of(program).read_text())
    assert (found["s"], found["\\\\n"]) == (
        {"type": "string", "path": "info.a"},
        {"type": "string"},
    )
    assert program("sync").code == 0
    assert difference(program) == (0, [])
    assert program("verify", ORDERS).code == 0


def test_a_table_that_is_not_there_yet_is_sampled(program: Program, rig: ScriptedDynamoDB) -> None:
    done = program("schema", "infer", ORDERS, "--items", "5", "--stdout")
    assert done.code == 0, done.stderr
    assert not (program.folder / "schemas").exists()
    assert not program.file.exists()
    done = program("schema", "infer", ORDERS)
    assert done.code == 0, done.stderr
    text = file_of(program).read_text()
    assert SECRET not in text
    types = {name: each.get("type") for name, each in entries(text).items()}
    assert types == {"id": None, **TYPES, "rare": "string"}
    assert rig.calls.count("DescribeStream") == 0
    assert program("sync").code == 0
    assert difference(program) == (0, [])
    assert program("verify", ORDERS).code == 0


def test_a_file_is_never_overwritten_unasked(program: Program) -> None:
    file_of(program).parent.mkdir()
    kept = (
        "columns:\n  s: {hash: true, description: A secret.}\n  info.a: {exclude: true}\n"
        "  n: {rename: number}\nunlisted: keep\ncontract: freeze\n"
    )
    file_of(program).write_text(kept)
    secret = program.with_(CONNECTOR_HASH_KEY="k" * 40)
    before = fingerprints(program.folder)
    assert_one_sentence(secret("schema", "infer", ORDERS), 2, "schemas/orders.yaml exists already")
    assert fingerprints(program.folder) == before
    printed = secret("schema", "infer", ORDERS, "--stdout")
    assert (printed.code, fingerprints(program.folder)) == (0, before)
    done = secret("schema", "infer", ORDERS, "--force")
    assert done.code == 0, done.stderr
    text = file_of(program).read_text()
    assert text == printed.stdout
    found = yaml.safe_load(text)
    assert found["columns"]["s"] == {"hash": True, "description": "A secret."}
    assert found["columns"]["info.a"] == {"exclude": True}
    assert found["columns"]["n"] == {"type": "integer", "rename": "number"}
    assert (found["unlisted"], found["contract"]) == ("keep", "freeze")
    assert sorted(path.name for path in file_of(program).parent.iterdir()) == ["orders.yaml"]


LINES = {
    "n": "What it is,\nin two lines.\n",
    "s": "  It begins with spaces,\n\nand has none at its end.",
    "flag": "One\u2028two\nthree\u2029four\n",
    "raw": "A tab\tin it\n\n\n",
    "info": "# no: {comment}\n- no list\n  deeper ",
}


def test_a_description_of_several_lines_stays_one(program: Program) -> None:
    assert program("sync").code == 0
    file_of(program).parent.mkdir()
    texts = {name: {"description": text} for name, text in LINES.items()}
    file_of(program).write_text(yaml.safe_dump({"columns": texts}))
    assert program("schema", "infer", ORDERS, "--force").code == 0
    text = file_of(program).read_text()
    assert "    description: |\n      What it is,\n      in two lines.\n" in text
    assert {name: entries(text)[name]["description"] for name in LINES} == LINES
    assert program("schema", "infer", ORDERS, "--force").code == 0
    assert file_of(program).read_text() == text


def test_keys_in_the_configuration_are_not_doubled(program: Program) -> None:
    config = program.folder / "connector.yaml"
    plain = config.read_text()
    config.write_text(plain.replace("sales}", "sales, contract: freeze, unlisted: keep}"))
    done = program("schema", "infer", ORDERS)
    assert done.code == 0, done.stderr
    assert not yaml.safe_load(file_of(program).read_text()).keys() & {"contract", "unlisted"}
    assert program("sync").code == 0
    assert difference(program) == (0, [])
    file_of(program).unlink()
    file_of(program).parent.rmdir()
    config.write_text(plain.replace("sales}", "sales, columns: {s: {mask: '*'}}}"))
    assert_one_sentence(program("schema", "infer", ORDERS), 2, "connector.yaml has columns of")
    assert not file_of(program).parent.exists()
    printed = program("schema", "infer", ORDERS, "--stdout")
    assert entries(printed.stdout)["s"] == {"mask": "*"}


def test_entries_that_the_configuration_lacks_are_printed_by_what_the_hint_names(
    program: Program,
) -> None:
    config = program.folder / "connector.yaml"
    config.write_text(config.read_text().replace("sales}", "sales, columns: {n: {}}}"))
    assert program("sync", "--quiet").code == 0
    differs = program("schema", "diff", ORDERS)
    assert differs.code == 3
    (hint,) = differs.lines("Hint: ")
    assert "--force" not in hint
    named = hint.split("`")[1].split()[1:]
    printed = program(*named)
    assert printed.code == 0, printed.stderr
    assert set(TYPES) <= set(yaml.safe_load(printed.stdout)["columns"])


def test_what_differs_is_shown_and_the_exit_code_is_three(program: Program) -> None:
    assert program("sync").code == 0
    assert_one_sentence(program("schema", "diff", ORDERS), 2, "Nothing is declared of the columns")
    assert program("schema", "infer", ORDERS).code == 0
    file = file_of(program)
    declared = yaml.safe_load(file.read_text())
    columns = declared["columns"]
    columns["n"]["type"] = "string"
    columns["rare"]["required"] = True
    columns["s"]["description"] = "A text."
    columns["gone"] = {"type": "date"}
    columns["unborn"] = {}
    del columns["flag"]
    file.write_text(yaml.safe_dump(declared))
    code, found = difference(program)
    assert code == 3
    by_name = {each["attribute"]: each for each in found}
    integer, boolean = ("bigint", "boolean") if program.database else ("BIGINT", "BOOLEAN")
    assert set(by_name) == {"n", "rare", "s", "gone", "flag"}
    schema = "public" if program.database else "main"
    assert by_name["n"] == {
        "table": f"{schema}.sales",
        "attribute": "n",
        "column": "n",
        "declared": "string",
        "found": integer,
        "difference": "the types differ",
    }
    assert by_name["rare"]["difference"] == "9 rows have no value"
    assert (by_name["s"]["declared"], by_name["s"]["found"]) == ("A text.", None)
    assert by_name["gone"]["difference"] == "there is no such column"
    assert (by_name["flag"]["found"], by_name["flag"]["declared"]) == (boolean, None)
    shown = program("schema", "diff", ORDERS)
    assert shown.code == 3
    assert "5 things in" in shown.lines("Error: ")[0]
    assert "the types differ" in shown.stdout
    (hint,) = shown.lines("Hint: ")
    for each in ("connector sync", "a required value", "schema infer orders --force"):
        assert each in hint
    assert "reset" not in hint
    assert SECRET not in shown.stdout + shown.stderr


def test_what_others_did_to_the_columns_is_a_difference(program: Program) -> None:
    assert program("sync").code == 0
    assert program("schema", "infer", ORDERS).code == 0
    by_hand(program, "ALTER TABLE sales DROP COLUMN flag")
    by_hand(program, "ALTER TABLE sales ALTER COLUMN n TYPE decimal(38,0)")
    text = file_of(program).read_text()
    file_of(program).write_text(text.replace("  rare:\n    type: string\n", "  rare: {}\n"))
    by_hand(program, "ALTER TABLE sales ALTER COLUMN rare TYPE varchar(50)[] USING array[rare]")
    code, found = difference(program)
    assert (code, {each["attribute"] for each in found}) == (3, {"flag", "n", "rare"})
    (rare,) = (each for each in found if each["attribute"] == "rare")
    assert (rare["declared"].lower()[:4], rare["difference"]) in [
        ("text", "its type was changed"),
        ("varc", "its type was changed"),
    ]
    by_hand(program, "ALTER TABLE sales ALTER COLUMN s TYPE varchar(50)[] USING array[s]")
    code, found = difference(program)
    (text,) = (each for each in found if each["attribute"] == "s")
    assert (text["declared"], text["difference"]) == ("string", "its type was changed")
    shown = program("schema", "diff", ORDERS)
    assert "Change the type back, or run `connector reset orders`" in shown.lines("Hint: ")[0]


@pytest.mark.parametrize("verb", ["infer", "diff"])
def test_a_table_that_is_not_listed(verb: str, program: Program) -> None:
    assert_one_sentence(program("schema", verb, "others"), 2, "does not list the table others")


def test_what_cannot_be_compared_or_written(program: Program) -> None:
    file_of(program).parent.mkdir()
    file_of(program).write_text("columns: {n: {type: integer}}\n")
    assert_one_sentence(program("schema", "diff", ORDERS), 2, "There is no table orders here yet")
    file_of(program).unlink()
    file_of(program).parent.rmdir()
    file_of(program).parent.write_text("no folder")
    assert_one_sentence(program("schema", "infer", ORDERS), 2, "cannot be written: Not a")
    file_of(program).parent.unlink()
    config = program.folder / "connector.yaml"
    config.write_text(config.read_text().replace("sales}", "sales, layout: packed}"))
    assert_one_sentence(program("schema", "infer", ORDERS), 2, "layout is packed")
    assert_one_sentence(program("schema", "infer", ORDERS, "--items", "0"), 2, "--items")
    assert program("schema", "sniff").code == 2


NAMES = [
    "a.b",
    "l[]",
    "back\\slash",
    "yes",
    "null",
    "1",
    "1.5",
    "2024-01-01",
    "a: b",
    "# c",
    "- d",
    "{e}",
    "'f'",
    '"g"',
    "&h",
    "*i",
    "!j",
    "%k",
    "@l",
    "`m`",
    " n ",
    "o\nline",
    "p\ttab",
    "q\u200bwidth",
    "r\u202eright",
    "ü ß \U0001f980",
    "${NAME}",
    "Case",
    "case",
    "_commit",
    "select",
    "~",
    "x" * 200,
]


def test_any_name_of_an_attribute_can_be_written_and_read_back(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    rig.model(ORDERS).load([{**key("odd"), **{name: {"S": SECRET} for name in NAMES}}])
    assert program("sync").code == 0
    printed = program("schema", "infer", ORDERS, "--stdout")
    done = program("schema", "infer", ORDERS)
    assert done.code == 0, done.stderr
    text = file_of(program).read_text()
    assert printed.stdout == text
    assert all(each.isprintable() for each in text.splitlines())
    assert difference(program) == (0, [])
    done = program("sync", "-o", "json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)[0]["new_columns"] == 0
    found = entries(text)
    assert found["a\\.b"] == found["${NAME}"] == found["q\u200bwidth"] == {"type": "string"}
    assert program("verify", ORDERS).code == 0


def test_a_file_of_no_table_is_named(program: Program) -> None:
    file_of(program).parent.mkdir()
    (file_of(program).parent / "ordrs.yaml").write_text("columns: {n: {type: integer}}\n")
    done = program("sync")
    assert done.code == 0
    assert "schemas/ordrs.yaml is of no configured table" in done.stderr
    needs = json.loads(program("check", "-o", "json").stdout)
    (need,) = [each for each in needs if each["check"] == "schemas"]
    assert (need["ok"], need["detail"].endswith("schemas/ordrs.yaml")) == (True, True)


def test_a_description_reaches_the_database(program: Program) -> None:
    file_of(program).parent.mkdir()
    file_of(program).write_text("columns: {n: {type: integer, description: It's a number.}}\n")
    assert program("sync").code == 0
    assert difference(program)[0] == 3  # Other columns have no entry.
    assert program("schema", "infer", ORDERS, "--force").code == 0
    assert entries(file_of(program).read_text())["n"]["description"] == "It's a number."
    assert difference(program) == (0, [])
    by_hand(program, "COMMENT ON COLUMN sales.n IS 'another'")
    code, found = difference(program)
    assert (code, [each["difference"] for each in found]) == (3, ["the comment differs"])


def test_deleted_rows_that_stay_do_not_count(program: Program, rig: ScriptedDynamoDB) -> None:
    config = program.folder / "connector.yaml"
    config.write_text(config.read_text().replace("sales}", "sales, deletes: soft}"))
    assert program("sync").code == 0
    rig.model(ORDERS).delete(*(key(n) for n in range(5)))
    assert program("sync").code == 0
    done = program("schema", "infer", ORDERS, "-o", "json")
    assert json.loads(done.stdout)[0]["rows"] == 5
    assert "in all of 5 rows" in file_of(program).read_text()


def test_a_key_that_is_declared_to_be_cast_is_refused(program: Program) -> None:
    file_of(program).parent.mkdir()
    file_of(program).write_text("columns: {id: {type: integer}}\n")
    done = program("check", "-o", "json")
    assert done.code == 2
    (need,) = [each for each in json.loads(done.stdout) if each["check"] == "contract"]
    assert "tables.orders.columns.id.type: id is a part of the table's key" in need["detail"]
    file_of(program).write_text("columns: {id: {type: string}, n: {type: integer}}\n")
    found = json.loads(program("check", "-o", "json").stdout)
    (need,) = [each for each in found if each["check"] == "contract"]
    assert (need["ok"], need["detail"]) == (True, "evolve; 2 columns are declared")


def test_a_sample_reads_no_more_pages_than_it_must(
    program: Program, rig: ScriptedDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 10 * 1024)
    rig.model(ORDERS).load({**key(f"long {n}"), "padding": {"S": SECRET * 100}} for n in range(100))
    done = program("schema", "infer", ORDERS, "--items", "1", "-o", "json")
    assert done.code == 0, done.stderr
    assert rig.calls.count("Scan") == 1
    assert 1 <= json.loads(done.stdout)[0]["items"] < 50
    assert "seen in some of its items" in file_of(program).read_text()
    done = program("schema", "infer", ORDERS, "--items", "1000", "--force", "-o", "json")
    assert json.loads(done.stdout)[0]["items"] == 110
    assert "seen in all of its items" in file_of(program).read_text()
    assert SECRET not in file_of(program).read_text()


def test_rules_apply_to_a_sample(program: Program) -> None:
    file_of(program).parent.mkdir()
    file_of(program).write_text(
        "columns: {s: {hash: true}, info: {exclude: true}, a: {path: info.a}, id: {hash: true}}\n"
    )
    assert_one_sentence(program("schema", "infer", ORDERS, "--force"), 2, "CONNECTOR_HASH_KEY")
    done = program.with_(CONNECTOR_HASH_KEY="k" * 40)("schema", "infer", ORDERS, "--force")
    assert done.code == 0, done.stderr
    found = entries(file_of(program).read_text())
    assert found["info"] == {"exclude": True}
    assert found["s"] == {"hash": True}
    assert found["a"] == {"type": "string", "path": "info.a"}
    assert found["id"] == {"hash": True}


DECLARED = {
    "id": {"description": "The key."},
    "n": {"type": "integer", "required": True},
    "price": {"type": "decimal(10,2)"},
    "s": {"type": "string", "description": "A text."},
    "flag": {"type": "boolean"},
    "raw": {"type": "binary"},
    "info": {"type": "json"},
    "mixed": {"type": "json"},
    "at": {"type": "timestamp", "from": "epoch_ms", "rename": "made_at"},
    "rare": {"type": "timestamp"},
    "day": {"type": "date"},
    "uid": {"type": "uuid"},
    "inner": {"type": "string", "path": "info.a"},
}


def test_what_is_declared_and_synced_does_not_differ_and_is_inferred_again(
    program: Program,
) -> None:
    file_of(program).parent.mkdir()
    file_of(program).write_text(yaml.safe_dump({"columns": DECLARED, "contract": "quarantine"}))
    done = program("sync")
    assert done.code == 0, done.stderr
    assert difference(program) == (0, [])
    assert program("schema", "infer", ORDERS, "--force").code == 0
    found = yaml.safe_load(file_of(program).read_text())
    assert (found["columns"], found["contract"]) == (DECLARED, "quarantine")
    done = program("sync", "-o", "json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)[0]["written"] == 0
    assert difference(program) == (0, [])
    assert program("verify", ORDERS).code == 0


def test_another_type_differs_until_the_table_is_read_again(program: Program) -> None:
    assert program("sync").code == 0
    file_of(program).parent.mkdir()
    columns = {name: {} for name in ("id", *TYPES, "rare")}
    columns["at"] = {"type": "timestamp", "from": "epoch_ms"}
    file_of(program).write_text(yaml.safe_dump({"columns": columns}))
    code, found = difference(program)
    assert (code, [(each["attribute"], each["declared"]) for each in found]) == (
        3,
        [("at", "timestamp")],
    )
    refused = program("sync")
    assert refused.code == 2
    assert "--full-refresh" in refused.lines("Hint: ")[0]
    assert program("snapshot", ORDERS, "--full-refresh", "--yes").code == 0
    assert difference(program) == (0, [])


def test_a_link_to_a_file_stays_a_link_and_the_mode_stays(program: Program) -> None:
    elsewhere = program.folder / "elsewhere.yaml"
    elsewhere.write_text("columns: {n: {description: A number.}}\n")
    elsewhere.chmod(0o640)
    file_of(program).parent.mkdir()
    file_of(program).symlink_to(elsewhere)
    assert program("schema", "infer", ORDERS, "--force").code == 0
    assert file_of(program).is_symlink()
    assert entries(elsewhere.read_text())["n"] == {"type": "integer", "description": "A number."}
    assert elsewhere.stat().st_mode & 0o777 == 0o640
    assert {path.suffix for path in program.folder.iterdir()} <= {"", ".yaml", ".duckdb"}


def test_a_configuration_may_come_from_a_pipe(program: Program) -> None:
    pipe, config = program.folder / "pipe", program.folder / "connector.yaml"
    text = config.read_text()
    config.unlink()
    os.mkfifo(pipe)
    for arguments, code in (
        (("sync",), 0),
        (("check",), 0),
        (("schema", "infer", ORDERS, "--stdout"), 0),
        (("schema", "diff", ORDERS), 2),
    ):
        writer = Thread(target=pipe.write_text, args=(text,))
        writer.start()
        done = program(*arguments, "--config", str(pipe))
        writer.join()
        assert done.code == code, done.stderr
        assert "pipe" not in done.stderr
