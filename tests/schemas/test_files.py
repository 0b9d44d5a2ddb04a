"""A table's columns may stand in schemas/<table>.yaml beside the configuration."""

import codecs
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connector.config.loading import load, load_each
from connector.config.model import Config, TableConfig
from connector.config.tables.files import KEYS, strangers
from connector.errors import ConfigError

ROOT = Path(__file__).parents[2]
ARN = "arn:aws:dynamodb:us-west-2:123456789012:table/orders"


def folder_with(folder: Path, tables: str, **files: str | bytes) -> Path:
    """A connector.yaml and files of tables; a name's __ is its dot."""
    file = folder / "connector.yaml"
    file.write_text(f"destination: {{url: 'duckdb:///w.duckdb'}}\ntables: {tables}\n")
    (folder / "schemas").mkdir()
    for name, text in files.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / "schemas" / name.replace("__", ".")).write_bytes(content)
    return file


def refused(file: Path, **environment: str) -> ConfigError:
    """The error of a configuration."""
    with pytest.raises(ConfigError) as caught:
        load(file, environment=environment)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value


def columns(config: Config, table: str = "orders") -> list[str]:
    """The entries of a table."""
    return list(config.tables[table].columns)


def test_every_key_of_a_file_is_a_key_of_a_table() -> None:
    assert set(KEYS) <= set(TableConfig.keys())


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("orders", "orders.yaml"),
        ("orders", "orders.yml"),
        ("a.b-c_D", "a.b-c_D.yaml"),
        (ARN, "orders.yaml"),
    ],
)
def test_the_file_has_the_name_of_the_table_in_dynamodb(
    table: str, name: str, tmp_path: Path
) -> None:
    text = "columns: {n: {type: integer}}\nunlisted: exclude\ncontract: freeze\n"
    file = folder_with(tmp_path, json.dumps({table: {"into": "other"}}), **{name: text})
    (tmp_path / "schemas" / "other.yaml").write_text("columns: {wrong: {}}")
    settings = load(file, environment={}).tables[table]
    assert (list(settings.columns), settings.unlisted, settings.contract) == (
        ["n"],
        "exclude",
        "freeze",
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "{}", "columns:\n", "columns: {}"])
def test_a_file_that_says_nothing_changes_nothing(text: str, tmp_path: Path) -> None:
    file = folder_with(tmp_path, "{orders: }", orders__yaml=text)
    assert load(file, environment={}).tables["orders"] == TableConfig()


@pytest.mark.parametrize("key", ["columns: {}", "unlisted: keep", "contract: freeze"])
def test_both_places_are_refused_by_name(key: str, tmp_path: Path) -> None:
    text = f"{key}\n" if key != "columns: {}" else "columns: {n: {}}\n"
    file = folder_with(tmp_path, f"{{orders: {{{key}}}}}", orders__yaml=text)
    error = refused(file)
    name = key.partition(":")[0]
    assert f"{file}: tables.orders.{name} and the file" in error.message
    assert f"{tmp_path}/schemas/orders.yaml" in error.message
    assert f"Keep {name} in one of the two" in error.hint


def test_each_key_may_stand_in_either_place(tmp_path: Path) -> None:
    routes = "[{when: {kind: a}, into: a}, {else: rest}]"
    text = "columns: {n: {type: integer}}\nunlisted: exclude\n"
    file = folder_with(
        tmp_path, f"{{orders: {{routes: {routes}, contract: freeze}}}}", orders__yaml=text
    )
    settings = load(file, environment={}).tables["orders"]
    assert settings.routes.targets == ("a", "rest")
    assert (list(settings.columns), settings.unlisted) == (["n"], "exclude")
    assert settings.contract == "freeze"


def test_other_keys_stay_in_the_configuration(tmp_path: Path) -> None:
    file = folder_with(
        tmp_path, "{orders: {into: sales, columns: }}", orders__yaml="columns: {n: {}}"
    )
    config = load(file, environment={})
    assert (config.target("orders"), columns(config)) == ("sales", ["n"])


@pytest.mark.parametrize("key", ["into: x", "layout: packed", "colums: {}", "tables: {}", "t: 1"])
def test_a_key_that_is_not_the_files_is_refused(key: str, tmp_path: Path) -> None:
    error = refused(folder_with(tmp_path, "{orders: }", orders__yaml=key))
    name = key.partition(":")[0]
    assert error.message == f"{tmp_path}/schemas/orders.yaml: {name} is not a known key here."
    assert "columns, unlisted, contract and routes" in error.hint


WRONG = {
    "columns: {n: {type: integer": "is not valid YAML at line 1",
    "columns:\n\tn: x": "is not valid YAML at line 2",
    "columns: {n: {}, n: {}}": "has the key n twice in one section (line 1)",
    "columns: {}\ncolumns: {}": "has the key columns twice in one section (line 2)",
    "columns: {1: {}}": "has a key that is not text",
    "- columns": "must hold keys and values",
    "columns": "must hold keys and values",
    "columns: [n]": ": columns must be a section",
    "columns: {n: x}": ": columns.n must be a section",
    "a: &a [*a]": "not a known key here",
    "columns: " + "{a: " * 9 + "1" + "}" * 9: "is nested too deeply",
    "columns: {n: {mask: '${NOT_SET}'}}": ": columns.n.mask needs the environment variable NOT_SET",
    "columns: {n: {description: 'costs ${5}'}}": ": columns.n.description has ${ without the name",
}


@pytest.mark.parametrize("text", WRONG)
def test_one_sentence_says_what_is_wrong_with_a_file(text: str, tmp_path: Path) -> None:
    error = refused(folder_with(tmp_path, "{orders: }", orders__yaml=text))
    assert error.message.startswith(f"{tmp_path}/schemas/orders.yaml")
    assert WRONG[text] in error.message


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-32"])
def test_another_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    text = "columns: {n: {description: größer}}".encode(encoding)
    error = refused(folder_with(tmp_path, "{orders: }", orders__yaml=text))
    assert "orders.yaml is not UTF-8 text" in error.message


def test_a_byte_order_mark_and_line_breaks_of_windows_are_fine(tmp_path: Path) -> None:
    text = codecs.BOM_UTF8 + b"columns:\r\n  n: {description: |\r\n  }\r\n".replace(b"|", b"x")
    file = folder_with(tmp_path, "{orders: }", orders__yaml=text)
    assert columns(load(file, environment={})) == ["n"]


def test_a_value_may_come_from_the_environment(tmp_path: Path) -> None:
    text = "columns: {n: {mask: '${MASK}', description: '$${x}'}}\n"
    file = folder_with(tmp_path, "{orders: }", orders__yaml=text)
    entry = load(file, environment={"MASK": "-"}).tables["orders"].columns["n"]
    assert (entry.mask, entry.description) == ("-", "${x}")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = "columns: {n: {}}\ncontract: freeze\n"
    file = folder_with(tmp_path, "{orders: }", orders__yaml=text, users__yaml="contract: fail")
    tables = {"orders": {"contract": "fail"}, "users": {}}
    config = load(file, environment={"CONNECTOR_TABLES": json.dumps(tables)})
    assert config.tables["orders"].contract == "fail"
    assert columns(config) == ["n"]
    assert config.tables["users"].contract == "fail"


def test_a_section_that_is_none_stays_a_mistake(tmp_path: Path) -> None:
    error = refused(folder_with(tmp_path, "{orders: sales}", orders__yaml="columns: {n: {}}"))
    assert "connector.yaml: tables.orders must be a section" in error.message


def test_without_a_configuration_the_folder_is_in_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_with(tmp_path, "{}", orders__yaml="columns: {n: {}}").unlink()
    monkeypatch.chdir(tmp_path)
    config = load(None, to="duckdb:///w.duckdb", tables=["orders"], environment={})
    assert columns(config) == ["n"]


def test_a_table_that_is_not_listed_is_not_listed_by_its_file(tmp_path: Path) -> None:
    file = folder_with(tmp_path, "{orders: }", users__yaml="columns: {n: {}}")
    with pytest.raises(ConfigError, match="does not list the table users"):
        load(file, tables=["users"], environment={})
    assert list(load(file, environment={}).tables) == ["orders"]


def test_a_folder_a_link_to_nothing_and_two_files_are_refused(tmp_path: Path) -> None:
    file = folder_with(tmp_path, "{orders: }")
    place = tmp_path / "schemas" / "orders.yaml"
    place.mkdir()
    assert f"{place} cannot be read: it is a folder" in refused(file).message
    place.rmdir()
    place.symlink_to("nowhere")
    assert f"{place} is a link to a file that does not exist" in refused(file).message
    place.unlink()
    place.symlink_to(place)
    assert f"{place} cannot be read" in refused(file).message
    place.unlink()
    place.write_text("columns: {n: {}}")
    (tmp_path / "schemas" / "orders.yml").write_text("columns: {}")
    assert f"There are both {place} and orders.yml" in refused(file).message
    (tmp_path / "schemas" / "orders.yml").unlink()
    assert columns(load(file, environment={})) == ["n"]
    elsewhere = tmp_path / "elsewhere.yaml"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    assert columns(load(file, environment={})) == ["n"]


def test_a_link_to_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = folder_with(tmp_path, "{orders: }")
    (tmp_path / "schemas").rmdir()
    assert load(file, environment={}).tables
    (tmp_path / "schemas").write_text("a file")
    assert load(file, environment={}).tables
    (tmp_path / "schemas").unlink()
    (tmp_path / "schemas").symlink_to(tmp_path / "nowhere")
    assert "schemas is a link to a folder that does not exist" in refused(file).message


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads all")
@pytest.mark.parametrize("name", ["schemas", "schemas/orders.yaml"])
def test_what_may_not_be_read_is_no_reason_to_go_on_without_it(name: str, tmp_path: Path) -> None:
    file = folder_with(tmp_path, "{orders: }", orders__yaml="columns: {n: {}}")
    (tmp_path / name).chmod(0)
    program = f"from pathlib import Path; from connector.config.loading import load; load({file!r})"
    command = [sys.executable, "-c", program.replace("PosixPath", "Path")]
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert "orders.yaml cannot be" in done.stderr
    assert "Permission denied." in done.stderr


@pytest.mark.parametrize("table", ["x" * 255, "...", "schemas", "a.yaml"])
def test_any_name_of_a_table_may_be_looked_for(table: str, tmp_path: Path) -> None:
    file = folder_with(tmp_path, json.dumps({table: {}}))
    assert list(load(file, environment={}).tables) == [table]
    if len(table) < 100:
        (tmp_path / "schemas" / f"{table}.yaml").write_text("columns: {n: {}}")
        assert columns(load(file, environment={}), table) == ["n"]


def test_a_wrong_file_leaves_out_only_its_table(tmp_path: Path) -> None:
    file = folder_with(
        tmp_path,
        "{orders: , users: , items: {contract: freeze}, good: }",
        orders__yaml="columns: {",
        users__yaml="columns: {n: {type: x}}",
        items__yaml="contract: freeze",
        good__yaml="columns: {n: {}}",
    )
    config, wrong = load_each(file, environment={})
    assert list(config.tables) == ["good"]
    assert columns(config, "good") == ["n"]
    assert set(wrong) == {"orders", "users", "items"}
    assert all(f"schemas/{table}.yaml" in str(error) for table, error in wrong.items())


def test_files_of_no_table_are_found(tmp_path: Path) -> None:
    file = folder_with(tmp_path, "{orders: }", orders__yml="", ordrs__yaml="", x__json="")
    assert strangers(file, ["orders"]) == [tmp_path / "schemas" / "ordrs.yaml"]
    assert strangers(tmp_path / "none" / "connector.yaml", ["orders"]) == []
