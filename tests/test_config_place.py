"""Which file is the configuration: its two spellings, the variable, and what is no file at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connector.config.loading import load
from connector.errors import ConfigError

ROOT = str(Path(__file__).parent.parent)
DUCKDB = "duckdb:///warehouse.duckdb"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["connector.yaml", "connector.yml"])
def test_either_spelling_is_read_and_paths_in_it_start_from_its_folder(name, folder):
    (folder / name).write_text(f"destination: {{url: '{DUCKDB}'}}\ntables: {{orders: }}")
    config = load(environment={})
    assert config.destination.url.path == folder / "warehouse.duckdb"
    assert list(config.tables) == ["orders"]
    assert list(load(Path(name), environment={}).tables) == ["orders"]


def test_both_spellings_are_an_error_unless_one_is_named(folder):
    for name, table in (("connector.yaml", "first"), ("connector.yml", "other")):
        (folder / name).write_text(f"destination: {{url: '{DUCKDB}'}}\ntables: {{{table}: }}")
    with pytest.raises(ConfigError) as caught:
        load(environment={})
    assert "connector.yaml and connector.yml" in caught.value.message
    assert "--config" in caught.value.hint
    assert caught.value.exit_code == 2
    assert list(load(Path("connector.yml"), environment={}).tables) == ["other"]
    assert list(load(environment={"CONNECTOR_CONFIG": "connector.yaml"}).tables) == ["first"]


def test_a_variable_names_the_file_and_a_flag_wins(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "conf").mkdir()
    for name, table in (("conf/prod.yml", "first"), ("other.yaml", "other")):
        (folder / name).write_text(f"destination: {{url: '{DUCKDB}'}}\ntables: {{{table}: }}")
    for named in ("conf/prod.yml", str(folder / "conf/prod.yml"), "~/conf/prod.yml"):
        config = load(environment={"CONNECTOR_CONFIG": named})
        assert config.destination.url.path == folder / "conf/warehouse.duckdb"
        assert list(config.tables) == ["first"]
    named = {"CONNECTOR_CONFIG": "conf/prod.yml"}
    assert list(load(Path("other.yaml"), environment=named).tables) == ["other"]
    with pytest.raises(ConfigError, match=r"no file gone\.yaml\. CONNECTOR_CONFIG names it"):
        load(environment={"CONNECTOR_CONFIG": "gone.yaml"})
    assert load(to=DUCKDB, environment={"CONNECTOR_CONFIG": ""}).tables == {}


@pytest.mark.parametrize("name", ["connector.yaml", "connector.yml"])
def test_a_file_in_the_current_folder_that_cannot_be_read_is_not_passed_over(name, folder):
    def message() -> str:
        with pytest.raises(ConfigError) as caught:
            load(to=DUCKDB, environment={})
        assert caught.value.hint
        return str(caught.value)

    file = folder / name
    file.mkdir()
    assert f"{name} cannot be read: it is a folder." in message()
    file.rmdir()
    file.symlink_to("nowhere.yaml")
    assert f"{name} is a link to a file that does not exist." in message()
    file.unlink()
    file.symlink_to(name)
    assert f"{name} cannot be read: Too many levels of symbolic links." in message()
    file.unlink()
    for content in (
        "tables: {orders: } # ä".encode("latin-1"),
        "tables: {orders: }".encode("utf-16"),
        "tables: {orders: }".encode("utf-16-le"),
        "tables: {orders: }".encode("utf-32"),
    ):
        file.write_bytes(content)
        assert f"{name} is not UTF-8 text. Save it with the encoding UTF-8." in message()
    file.write_text("tables:\n\torders: {}\n")
    assert f"{name} is not valid YAML at line 2, column 1" in message()
    assert "never with tabs" in message()
    for text in ("", "# nothing\n", "---\n", "tables:\n", "tables: {}\n", "\ufeff"):
        file.write_text(text, encoding="utf-8")
        assert load(to=DUCKDB, tables=["orders"], environment={}).target("orders") == "orders"
        with pytest.raises(ConfigError, match=f"set destination.url in {name}"):
            load(environment={})


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads all")
def test_a_file_that_may_not_be_read_says_so(folder):
    file = folder / "connector.yml"
    file.write_text("tables: {orders: }")
    file.chmod(0)
    program = "from connector.config.loading import load; load(to='duckdb:///x', environment={})"
    command = [sys.executable, "-c", program]
    if os.geteuid() == 0:
        folder.chmod(0o755)
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ROOT}
    )
    assert "connector.yml cannot be read: Permission denied." in done.stderr


def test_the_other_spelling_of_a_name_is_suggested(folder):
    (folder / "prod.yml").write_text("")
    with pytest.raises(ConfigError, match=r"no file prod\.yaml\. Did you mean prod\.yml\?"):
        load(Path("prod.yaml"), environment={})
