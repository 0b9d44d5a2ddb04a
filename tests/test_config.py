"""connector.yaml, environment and flags: what holds, what is refused, and that no secret shows."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from connector.config.loading import load
from connector.config.model import Config, SourceConfig
from connector.config.urls import check_endpoint
from connector.destinations.registry import parse_url
from connector.errors import ConfigError

DUCKDB = "duckdb:///warehouse.duckdb"
POSTGRES = "postgresql://loader:canary@db:5432/analytics"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder, and no variables of ours."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("CONNECTOR_"):
            monkeypatch.delenv(name)
    return tmp_path


def read(text: str, path: str = "connector.yaml", **options) -> Config:
    """The configuration that a file with `text` gives."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return load(file, **{"environment": {}, **options})


def refused(text: str, **options) -> str:
    """The whole message, with its hint, about a file that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        read(text, **options)
    assert caught.value.exit_code == 2
    # pydantic's and PyYAML's own errors quote the input: none may hang on to ours.
    assert not isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_gives_everything():
    config = read("""
source: {region: us-west-2, profile: reader, max_read_units: 100}
destination: {url: "duckdb:////data/wh.duckdb", schema: raw, threads: 2, memory_limit: 4GB}
spool: s3://bucket/prefix
scan: {segments: 4, workers: 2}
tail: {quiet_seconds: 0.5, batch_records: 50_000}
quarantine: {limit: 0}
tables:
  cloudacademy-courses: {into: courses, segments: 8}
  orders: {layout: packed, max_columns: 20}
""")
    assert config.source.region == "us-west-2"
    assert config.source.max_read_units == 100
    assert config.destination.url.path == Path("/data/wh.duckdb")
    assert config.destination.schema_name == "raw"
    assert config.spool_location() == "s3://bucket/prefix"
    assert config.tail.quiet_seconds == 0.5
    assert config.tail.batch_records == 50_000
    assert config.quarantine.limit == 0
    assert config.target("cloudacademy-courses") == "courses"
    assert config.segments("cloudacademy-courses") == 8
    assert config.segments("orders") == 4
    assert config.tables["orders"].layout == "packed"


def test_flags_are_enough(folder):
    config = load(to=DUCKDB, tables=["orders"], environment={})
    assert config.destination.url.path == folder / "warehouse.duckdb"
    assert config.destination.schema_name == "main"
    assert config.spool_location() == str(folder / ".connector/spool")
    assert config.target("orders") == "orders"
    assert config.segments("orders") is None


def test_the_environment_is_enough(folder):
    config = load(
        environment={
            "CONNECTOR_DESTINATION__URL": DUCKDB,
            "CONNECTOR_SOURCE__REGION": "eu-west-1",
            "CONNECTOR_SOURCE__CONSISTENT_READ": "false",
            "CONNECTOR_SPOOL": "spool",
            "CONNECTOR_TAIL__QUIET_SECONDS": "0.25",
            "CONNECTOR_SCAN__SEGMENTS": "8",
            "CONNECTOR_TABLES": '{"a.b-c": {"into": "abc"}, "users": null}',
        }
    )
    assert config.source.region == "eu-west-1"
    assert config.source.consistent_read is False
    assert config.spool_location() == str(folder / "spool")
    assert config.tail.quiet_seconds == 0.25
    assert config.segments("users") == 8
    assert {table: config.target(table) for table in config.tables} == {
        "a.b-c": "abc",
        "users": "users",
    }


@pytest.mark.parametrize("text", ["orders: {}", "orders:", "orders: null", "orders: {into: }"])
def test_a_table_needs_no_keys(text):
    config = read(f"destination: {{url: '{DUCKDB}'}}\ntables:\n  {text}\n")
    assert config.target("orders") == "orders"


@pytest.mark.parametrize("section", ["source", "spool", "scan", "tail", "quarantine", "tables"])
def test_a_section_may_be_left_empty(section):
    bare = read(f"destination: {{url: '{DUCKDB}'}}")
    assert read(f"destination: {{url: '{DUCKDB}'}}\n{section}:\n") == bare


def test_the_file_in_the_current_folder_is_read_without_asking(folder):
    (folder / "connector.yaml").write_text(f"destination: {{url: '{DUCKDB}'}}")
    assert load(environment={}).destination.url.kind == "duckdb"


def test_flags_win_over_the_environment_and_that_over_the_file():
    text = f"destination: {{url: '{DUCKDB}'}}\nscan: {{segments: 2, workers: 2}}\n"
    environment = {"CONNECTOR_SCAN__SEGMENTS": "3", "CONNECTOR_SCAN__WORKERS": "3"}
    flags = {"scan.segments": 4, "scan.workers": None}
    config = read(text, environment=environment, overrides=flags)
    assert (config.scan.segments, config.scan.workers) == (4, 3)
    assert read(text, environment=environment, to=POSTGRES).destination.url.kind == "postgresql"


def test_a_flag_can_set_a_key_of_a_table_with_dots_in_its_name():
    overrides = {"tables": {"a.b": {"segments": 3}}}
    config = load(to=DUCKDB, tables=["a.b"], environment={}, overrides=overrides)
    assert config.segments("a.b") == 3


def test_tables_of_the_environment_are_laid_over_those_of_the_file():
    config = read(
        f"destination: {{url: '{DUCKDB}'}}\ntables: {{orders: {{into: o, segments: 2}}, users: }}",
        environment={"CONNECTOR_TABLES": '{"orders": {"into": "sales"}, "parts": {}}'},
    )
    assert config.target("orders") == "sales"
    assert config.segments("orders") == 2
    assert list(config.tables) == ["orders", "users", "parts"]


def test_paths_start_from_where_they_are_written(folder):
    text = f"destination: {{url: '{DUCKDB}'}}\nspool: links\n"
    config = read(text, "conf/connector.yaml")
    assert config.destination.url.path == folder / "conf/warehouse.duckdb"
    assert config.destination.url.reveal() == f"duckdb:///{folder}/conf/warehouse.duckdb"
    assert config.spool_location() == str(folder / "conf/links")
    other = read(text, "conf/connector.yaml", to=DUCKDB, environment={"CONNECTOR_SPOOL": "links"})
    assert other.destination.url.path == folder / "warehouse.duckdb"
    assert other.spool_location() == str(folder / "links")


def test_the_spool_is_beside_the_duckdb_file_or_in_the_current_folder(folder):
    beside = load(to="duckdb:////data/wh.duckdb", environment={})
    assert beside.spool_location() == "/data/.connector/spool"
    assert load(to=POSTGRES, environment={}).spool_location() == str(folder / ".connector/spool")


def test_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    config = load(to="duckdb:///~/wh.duckdb", environment={"CONNECTOR_SPOOL": "~/spool"})
    assert config.destination.url.path == Path("/somebody/wh.duckdb")
    assert config.spool_location() == "/somebody/spool"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${REGION}", "eu-west-1"),
        ("eu-${PLACE}-1", "eu-west-1"),
        ("${PLACE}${PLACE}", "westwest"),
        ("$${REGION}", "${REGION}"),
        ("$$$${REGION}", "$$${REGION}"),
        ("$REGION", "$REGION"),
        ("$", "$"),
        ("${NESTED}", "${REGION}"),
    ],
)
def test_variables_in_a_value(written, meant):
    environment = {"REGION": "eu-west-1", "PLACE": "west", "NESTED": "${REGION}"}
    text = f"source: {{region: '{written}'}}\ndestination: {{url: '{DUCKDB}'}}\n"
    assert read(text, environment=environment).source.region == meant


def test_a_variable_may_hold_a_number_or_a_switch():
    config = read(
        f"source: {{consistent_read: '${{SWITCH}}'}}\ndestination: {{url: '{DUCKDB}'}}\n"
        "scan:\n  segments: ${SEGMENTS}\n",
        environment={"SWITCH": "false", "SEGMENTS": "12"},
    )
    assert config.source.consistent_read is False
    assert config.scan.segments == 12


def test_a_variable_is_not_needed_where_its_value_is_replaced():
    config = read("destination: {url: '${NOT_SET}'}", to=DUCKDB)
    assert config.destination.url.kind == "duckdb"


def test_variables_are_for_files_only():
    config = load(to=DUCKDB, environment={"CONNECTOR_SOURCE__PROFILE": "${X}"})
    assert config.source.profile == "${X}"


def test_empty_and_reserved_variables_say_nothing():
    environment = {
        "CONNECTOR_SOURCE__REGION": "",
        "CONNECTOR_FAILPOINT": "plan.before_commit",
        "CONNECTOR_CACHE": "somewhere",
        "CONNECTOR_CONFIG": "",
        "CONNECTORS": "9",
    }
    assert load(to=DUCKDB, environment=environment) == load(to=DUCKDB, environment={})


@pytest.mark.parametrize("written", ["1.4", "'1.4'", "v1.4.0", "1.4.5", "'${V}'"])
@pytest.mark.parametrize("to", [DUCKDB, POSTGRES])
def test_a_version_of_duckdb_is_written_in_several_ways(written, to):
    config = read(
        f"destination: {{storage_version: {written}}}", to=to, environment={"V": "v1.4.2"}
    )
    assert config.destination.storage_version == "1.4"


def test_a_wrong_version_of_duckdb_is_refused_for_postgres_too():
    assert "storage_version must be" in refused("destination: {storage_version: 9}", to=POSTGRES)


def test_a_table_is_named_by_its_arn():
    arn = "arn:aws:dynamodb:us-west-2:123456789012:table/orders"
    assert load(to=DUCKDB, tables=[arn], environment={}).target(arn) == "orders"


def test_a_file_that_lists_no_table_leaves_the_choice_to_the_command_line():
    config = read(f"destination: {{url: '{DUCKDB}'}}", tables=["orders"])
    assert list(config.tables) == ["orders"]


@pytest.mark.parametrize("name", ["abc", "a.b", "A_b-9.x", "x" * 255])
def test_names_of_tables(name):
    assert list(load(to=DUCKDB, tables=[name], environment={}).tables) == [name]


def test_merge_keys_and_anchors_work():
    config = read(f"""
destination: {{url: '{DUCKDB}'}}
tables:
  orders: &packed {{layout: packed, segments: 2}}
  users: {{<<: *packed, segments: 3}}
""")
    assert config.tables["users"].layout == "packed"
    assert config.segments("users") == 3


def test_the_configuration_is_frozen():
    config = load(to=DUCKDB, environment={})
    with pytest.raises(ValidationError, match="frozen"):
        config.tail.quiet_seconds = 3
    with pytest.raises(ValidationError, match="frozen"):
        config.spool = "x"


def test_a_byte_order_mark_is_no_problem():
    assert read(f"\ufeffdestination: {{url: '{DUCKDB}'}}").destination.url.kind == "duckdb"


# A file's text, and what the message about it must say.
WRONG = [
    ("sorce: {}", "connector.yaml: sorce is not a known key. Did you mean source?"),
    ("source: {regoin: x}", "connector.yaml: source.regoin is not a known key. Did you mean reg"),
    ("destination: {ulr: x}", "destination.ulr is not a known key. Did you mean url?"),
    ("destination: {schema_: x}", "destination.schema_ is not a known key. Did you mean schema?"),
    ("zzz: 1", "zzz is not a known key. Known here: source, destination, spool, scan,"),
    ("zzz:", "zzz is not a known key."),
    ("tail: {zzz: 1}", "tail.zzz is not a known key. Known here: quiet_seconds,"),
    ("tables: {orders: {int: x}}", "tables.orders.int is not a known key. Did you mean into?"),
    ("source: x", "source must be a section with keys of its own."),
    ("tables: [orders]", "tables must be a section with keys of its own."),
    ("tables: {orders: sales}", "tables.orders must be a section with keys of its own."),
    ("source: {region: 1}", "source.region must be text: put it in quotes."),
    ("source: {region: no}", "source.region must be text: put it in quotes."),
    ("source: {region: ''}", "source.region must not be empty."),
    ("source: {consistent_read: maybe}", "source.consistent_read must be true or false."),
    ("source: {retry_seconds: 0}", "source.retry_seconds must be more than 0."),
    ("source: {retry_seconds: true}", "source.retry_seconds must be a number."),
    ("source: {retry_seconds: .nan}", "source.retry_seconds must be a number."),
    ("source: {retry_seconds: .inf}", "source.retry_seconds must be a number."),
    ("source: {max_read_units: -1}", "source.max_read_units must be more than 0."),
    ("tail: {batch_records: x}", "tail.batch_records must be a whole number."),
    ("tail: {batch_records: 1.5}", "tail.batch_records must be a whole number."),
    ("tail: {batch_records: true}", "tail.batch_records must be a number."),
    ("tail: {readers: 0}", "tail.readers must be at least 1."),
    ("scan: {segments: 1000001}", "scan.segments must be at most 1000000."),
    ("destination: {threads: 1025}", "destination.threads must be at most 1024."),
    ("quarantine: {limit: -1}", "quarantine.limit must be at least 0."),
    ("tables: {orders: {layout: rows}}", "tables.orders.layout must be 'columns' or 'packed'."),
    ("tables: {orders: {max_columns: 1501}}", "tables.orders.max_columns must be at most 1500."),
    ("tables: {ab: }", "tables.ab: This is not the name of a DynamoDB table."),
    ("tables: {'a b c': }", "tables.a b c: This is not the name of a DynamoDB table."),
    ("tables: {'arn:aws:dynamodb:x:1:table/abc': }", "This is not the name of a DynamoDB table."),
    ('tables: {orders: {into: "a\\0"}}', "tables.orders.into: A name must not hold control"),
    ("destination: {schema: _Connector}", "destination.schema: The schema _connector holds"),
    ("destination: {schema: PG_catalog}", "destination.schema: The schema pg_catalog belongs"),
    ("destination: {schema: information_schema}", "The schema information_schema belongs to the"),
    ("destination: {memory_limit: lots}", "destination.memory_limit: This must be a size"),
    ("destination: {storage_version: 3}", "destination.storage_version must be '1.0', '1.1',"),
    ("destination: {storage_version: latest}", "destination.storage_version must be '1.0'"),
    ("destination: {storage_version: 0.10.2}", "destination.storage_version must be '1.0'"),
    ("destination: {storage_version: '1.4.x'}", "destination.storage_version must be '1.0'"),
    ("destination: {storage_version: ''}", "destination.storage_version must be '1.0'"),
    ("destination: {storage_version: true}", "destination.storage_version must be '1.0'"),
    ("destination: {storage_version: [1.4]}", "destination.storage_version must be '1.0'"),
    ("destination: {threads: 0}", "destination.threads must be at least 1."),
    ("spool: 's3://'", "spool: The spool's URL must be s3://bucket/prefix."),
    ("spool: 's3://key:canary@bucket'", "spool: The spool's URL must be s3://bucket/prefix."),
    ("spool: gs://bucket", "spool: The spool must be a folder or an s3:// URL."),
    ("spool: ''", "spool: The spool must be a folder or an s3:// URL."),
    ("spool: [a]", "spool must be text: put it in quotes."),
    (
        "source: {endpoint_url: 'http://db:8000'}",
        "source.endpoint_url: Anyone on the network can read",
    ),
    ("source: {streams_endpoint_url: 'ftp://x'}", "streams_endpoint_url: An endpoint must be"),
    ("source: {region: '${NOT_SET}'}", "source.region needs the environment variable NOT_SET"),
    ("source: {region: '${'}", "source.region has ${ without the name of a variable"),
    ("source: {region: '${a b}'}", "source.region has ${ without the name of a variable"),
    ("source: {}\nsource: {}", "connector.yaml has the key source twice in one section (line 2)."),
    ("tables:\n  abc: {}\n  abc: {}", "has the key abc twice in one section (line 3)."),
    ("tables: {1234: {}}", "has a key that is not text: put it in quotes (line 1)."),
    ("tables: {yes: {}}", "has a key that is not text: put it in quotes (line 1)."),
    ("tables: {[a]: {}}", "has a key that is not text: put it in quotes (line 1)."),
    ("source: {", "connector.yaml is not valid YAML at line 1, column 10"),
    ("\tsource: 1", "connector.yaml is not valid YAML at line 1, column 1: found character '\\t'"),
    ("a: 1\n---\nb: 2", "connector.yaml is not valid YAML at line 2"),
    ("source: !!python/object:os.system {}", "connector.yaml is not valid YAML at line 1"),
    ("source: \x07", "connector.yaml is not valid YAML."),
    ("source: {region: 2024-13-45}", "connector.yaml is not valid YAML."),
    ("[]", "connector.yaml must hold keys and values."),
    ("words", "connector.yaml must hold keys and values."),
    ("source: &a {region: *a}", "connector.yaml: source.region"),
    ("source: " + "{a: " * 20 + "1" + "}" * 20, "is nested too deeply."),
    ("source: " + "[" * 5000, "connector.yaml is nested too deeply."),
    ("spool: &a [*a]", "connector.yaml: spool is nested too deeply."),
    ("a: &a [{b: *a}]", "connector.yaml: a is nested too deeply."),
    ("tables: {orders: {routes: &a [*a]}}", "tables.orders.routes is nested too deeply."),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[text[:50] for text, _ in WRONG])
def test_a_mistake_is_one_sentence_that_names_file_and_key(text, said):
    # Where the mistake is not about the destination, a good one is given.
    to = None if text.startswith("destination: {ulr") else DUCKDB
    message = refused(text, to=to)
    assert said in message
    assert message.startswith("connector.yaml")


def test_a_schema_that_postgres_keeps_for_itself_is_refused():
    mine = "destination: {schema: pg_mine, url: "
    message = refused(mine + "'postgresql://me@db/warehouse'}")
    assert "Postgres keeps the names of schemas that begin with pg_" in message
    assert "destination.schema" in message
    assert read(mine + "'duckdb:////data/w.duckdb'}").destination.schema_name == "pg_mine"


# A variable, its value, and what the message about it must say.
WRONG_VARIABLES = [
    ("CONNECTOR_SORCE__REGION", "x", "sorce is not a known key. Did you mean source?"),
    ("CONNECTOR_SOURCE__REGOIN", "x", "source.regoin is not a known key. Did you mean region?"),
    ("CONNECTOR_SOURCE", "{}", "source must be a section with keys of its own."),
    ("CONNECTOR_SOURCE__REGION__NAME", "x", "source.region must be text"),
    ("CONNECTOR_", "x", " is not a known key."),
    ("CONNECTOR_TAIL__READERS", "many", "tail.readers must be a whole number."),
    ("CONNECTOR_SPOOL", "gs://x", "spool: The spool must be a folder or an s3:// URL."),
    ("CONNECTOR_TABLES", "[]", "must hold keys and values."),
    ("CONNECTOR_TABLES", "{", "is not valid YAML"),
    ("CONNECTOR_TABLES", '{"abc": {}, "abc": {}}', "has the key abc twice"),
    ("CONNECTOR_TABLES", '{"abc": {"inot": "x"}}', "tables.abc.inot is not a known key."),
    ("CONNECTOR_TABLES__ORDERS__INTO", "x", "Set CONNECTOR_TABLES to a JSON object"),
]


@pytest.mark.parametrize(("variable", "value", "said"), WRONG_VARIABLES)
def test_a_mistake_in_a_variable_names_the_variable(variable, value, said):
    message = refused("", to=DUCKDB, environment={variable: value})
    assert message.startswith(f"{variable}")
    assert said in message


def test_a_mistake_in_a_flag_names_the_command_line():
    message = refused("scan: {segments: 2}", to=DUCKDB, overrides={"scan.segments": 0})
    assert message == "the command line: scan.segments must be at least 1."
    message = refused("", to="mysql://x")
    assert message.startswith("--to: destination.url: The url must begin with duckdb:/// or postgr")


def test_a_misspelt_key_is_told_before_the_one_that_is_missing():
    assert "Did you mean destination?" in refused(f"destinations: {{url: '{DUCKDB}'}}")


@pytest.mark.parametrize("text", ["", "destination: {}", "destination:", "destination: {url: }"])
def test_no_destination(text):
    message = refused(text)
    assert message.startswith("There is no destination.")
    for way in ("--to", "destination.url", "CONNECTOR_DESTINATION__URL"):
        assert way in message


def test_an_unlisted_table():
    text = f"destination: {{url: '{DUCKDB}'}}\ntables: {{orders: , users: }}\n"
    assert list(read(text, tables=["users"]).tables) == ["orders", "users"]
    assert refused(text, tables=["order"]) == (
        "connector.yaml does not list the table order. Did you mean orders?"
    )
    assert refused(text, tables=["zebras"]).endswith("Known here: orders, users.")


def test_a_long_list_of_tables_is_cut():
    tables = "".join(f"  table{number}:\n" for number in range(100))
    message = refused(f"destination: {{url: '{DUCKDB}'}}\ntables:\n{tables}", tables=["zebras"])
    assert "table11, …" in message
    assert "table12" not in message


@pytest.mark.parametrize(
    "tables",
    [
        "{orders: {into: sales}, customers: {into: Sales}}",
        "{orders: {}, customers: {into: ORDERS}}",
        "{orders: {}, 'arn:aws:dynamodb:us-west-2:123456789012:table/orders': {}}",
    ],
)
def test_two_tables_in_one_place(tables):
    message = refused(f"tables: {tables}", to=DUCKDB)
    assert message.startswith("The tables orders and ")
    assert "would both be written to" in message


def test_a_name_that_postgres_would_cut():
    name = "x" * 64
    assert load(to=DUCKDB, tables=[name], environment={}).target(name) == name
    assert "63 bytes" in refused("", to=POSTGRES, tables=[name])
    assert "63 bytes" in refused("tables: {orders: {into: " + "é" * 32 + "}}", to=POSTGRES)
    assert "63 bytes" in refused("", to=POSTGRES, overrides={"destination.schema": name})


def test_a_file_that_is_not_there_or_not_readable(folder):
    with pytest.raises(ConfigError, match=r"There is no file other\.yaml"):
        load(Path("other.yaml"), environment={})
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml is not UTF-8 text"):
        load(Path("binary.yaml"), environment={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(folder, environment={})


# URLs of destinations.


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("duckdb:///wh.duckdb", "/here/wh.duckdb"),
        ("duckdb:///a/b.db", "/here/a/b.db"),
        ("duckdb:////data/wh.duckdb", "/data/wh.duckdb"),
        ("duckdb:///with space #1%20.duckdb", "/here/with space #1%20.duckdb"),
        ("duckdb:///data:2024/wh.duckdb", "/here/data:2024/wh.duckdb"),
        ("duckdb:///wh:1.duckdb", "/here/wh:1.duckdb"),
        ("duckdb:///./md:orders", "/here/md:orders"),
        ("duckdb:////data/s3:x/wh.duckdb", "/data/s3:x/wh.duckdb"),
        ("duckdb:///~wh.duckdb", "/here/~wh.duckdb"),
        ("duckdb:///~root/wh.duckdb", str(Path("~root/wh.duckdb").expanduser())),
    ],
)
def test_the_url_of_a_duckdb_file(url, path):
    parsed = parse_url(url, Path("/here"))
    assert (parsed.kind, parsed.path) == ("duckdb", Path(path))
    assert str(parsed) == parsed.reveal() == f"duckdb:///{path}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (POSTGRES, "postgresql://loader:***@db:5432/analytics"),
        ("postgresql://loader@db/analytics", "postgresql://loader@db/analytics"),
        ("postgresql://:canary@db/x", "postgresql://:***@db/x"),
        ("postgresql://l:canary%40%2F@db/x", "postgresql://l:***@db/x"),
        ("postgresql://l:canary:canary@db/x", "postgresql://l:***@db/x"),
        ("postgresql://db/x?password=canary&sslmode=require", "postgresql://db/x"),
        ("postgresql://l:canary@[::1]:5432/x", "postgresql://l:***@[::1]:5432/x"),
        ("postgresql://l:canary@a:1,b:2/x", "postgresql://l:***@a:1,b:2/x"),
        ("postgresql:///x?host=/run/postgresql", "postgresql:///x"),
        ("postgresql://", "postgresql://"),
        ("postgresql://l:can%25ary%5B%20%5D@db/x%20y", "postgresql://l:***@db/x%20y"),
        ("postgresql://l%40home:canary@%2Frun%2Fpg/x", "postgresql://l%40home:***@%2Frun%2Fpg/x"),
        ("postgresql://l:canary@:5433/x?host=/run", "postgresql://l:***@:5433/x"),
    ],
)
def test_the_url_of_a_postgres_database(url, shown):
    parsed = parse_url(url)
    assert (parsed.kind, parsed.path) == ("postgresql", None)
    assert parsed.reveal() == url
    assert str(parsed) == shown


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin with duckdb:/// or postgresql://"),
        ("canary", "must begin with"),
        ("postgre://l:canary@db/x", "must begin with"),
        ("jdbc:postgresql://l:canary@db/x", "must begin with"),
        ("redshift+psycopg2://l:canary@db/x", "must begin with"),
        ("mysql://l:canary@db/x", "must begin with"),
        ("DUCKDB:///x", "must begin with"),
        ("duckdb:", "does not name a file"),
        ("duckdb://", "does not name a file"),
        ("duckdb:///", "does not name a file"),
        ("duckdb:///:memory:", "does not name a file"),
        ("duckdb:///:memory:canary", "does not name a file"),
        ("md:orders?motherduck_token=canary", "MotherDuck is not supported"),
        ("motherduck:canary", "MotherDuck is not supported"),
        ("duckdb:///md:canary", "MotherDuck is not supported"),
        ("duckdb:///MD:", "MotherDuck is not supported"),
        ("duckdb:///s3://canary/wh.duckdb", "another scheme"),
        ("duckdb:///https://canary@host/wh.duckdb", "another scheme"),
        ("duckdb:///postgres:password=canary", "another scheme"),
        ("duckdb:///sqlite:canary.db", "another scheme"),
        ("duckdb:///ducklake:canary", "another scheme"),
        ("duckdb:///file:///canary", "another scheme"),
        ("duckdb:///some+thing://canary", "another scheme"),
        ("duckdb:///canary/", "names a folder"),
        ("duckdb:///canary/..", "names a folder"),
        ("duckdb:////", "names a folder"),
        ("duckdb:///~canary-nobody/wh.duckdb", "no home folder"),
        ("ducklake:canary", "must begin with"),
        ("duckdb://wh.duckdb", "three slashes"),
        ("duckdb:/wh.duckdb", "three slashes"),
        ("duckdb:///wh.duckdb?access_mode=read_only", "takes no options"),
        ("postgresql:db", "cannot be read"),
        ("postgresql://l:can/ary@db/x", "cannot be read"),
        ("postgresql://l:can?ary@db/x", "cannot be read"),
        ("postgresql://l:can#ary@db/x", "cannot be read"),
        ("postgresql://l:can@ary@db/x", "cannot be read"),
        ("postgresql://l:can@ary@db/x", "more than one @"),
        ("postgresql://l:canary@db/x/y", "name of the database"),
        ("postgresql://l:can\nary@db/x", "line break"),
        ("postgresql://l:can%00ary@db/x", "%00"),
        ("postgresql://l:canary@db:http/x", "not a port"),
        ("postgresql://l:canary@db:0/x", "not a port"),
        ("postgresql://l:canary@db:65536/x", "not a port"),
        ("postgresql://l:canary@db:" + "9" * 5000, "not a port"),
        ("postgresql://l:canary@db:٣/x", "not a port"),
        ("postgresql://l:canary@::1/x", "IPv6"),
        ("postgresql://l:canary@[::1/x", "neither a name nor an address"),
        ("postgresql://l:canary@[canary]/x", "not an IPv6 address"),
        ("postgresql://l:canary@[127.0.0.1]/x", "not an IPv6 address"),
        ("postgresql://l:canary@d b/x", "neither a name nor an address"),
        ("postgresql://db/x?options=a@b", "is not escaped"),
        ("postgresql://db/x?password=c&anary=1", "its password is followed"),
        ("postgresql://db/x?password=c&anary", "its password is followed"),
        ("postgresql://l:can[ary", "cannot be read"),
        ("postgresql://loader:canary", "cannot be read"),
        ("postgresql://loader:canary/x", "cannot be read"),
        ("postgresql://db/x#canary", "cannot be read"),
    ],
)
def test_a_url_that_is_none(url, said):
    with pytest.raises(ConfigError, match=said) as caught:
        parse_url(url)
    assert caught.value.hint
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("postgres://l:p@db/x", "postgresql://l:p@db/x"),
        ("postgresql+psycopg2://l:p@db/x", "postgresql://l:p@db/x"),
        ("postgresql+psycopg://l:p@db/x", "postgresql://l:p@db/x"),
        ("POSTGRESQL://l:p@db/x", "postgresql://l:p@db/x"),
        (" postgresql://l:p@db/x\n", "postgresql://l:p@db/x"),
        ("postgresql://l:[p]@db/x", "postgresql://l:%5Bp%5D@db/x"),
        ("postgresql://l:100%sure%@db/x", "postgresql://l:100%25sure%25@db/x"),
        ("postgresql://l:a b@db/x y", "postgresql://l:a%20b@db/x%20y"),
        ("postgresql://l:päß@db/x", "postgresql://l:p%C3%A4%C3%9F@db/x"),
        ("postgresql://l:%FF@db/x", "postgresql://l:%FF@db/x"),
        ("postgresql://l:a+b&c=d;e@db/x", "postgresql://l:a+b&c=d;e@db/x"),
        ("postgresql://l:\"'<>`{|}^\\@db/x", "postgresql://l:%22'%3C%3E%60%7B%7C%7D%5E%5C@db/x"),
        ("postgresql://[fe80::1%25eth0]:5/x", "postgresql://[fe80::1%25eth0]:5/x"),
        ("postgresql://a:1,[::1]:2,c/x", "postgresql://a:1,[::1]:2,c/x"),
        ("postgresql://db:/x", "postgresql://db/x"),
        ("postgresql://db/x?ssl=true", "postgresql://db/x?sslmode=require"),
        ("postgresql://db/x?client_encoding=utf-8", "postgresql://db/x"),
        ("postgresql://db/x?&connect_timeout=5&", "postgresql://db/x?connect_timeout=5"),
        (
            "postgresql://db/x?options=-c statement_timeout=5",
            "postgresql://db/x?options=-c%20statement_timeout%3D5",
        ),
    ],
)
def test_a_url_is_given_to_the_driver_as_it_is_meant(written, meant):
    parsed = parse_url(written)
    assert parsed.reveal() == meant
    assert parse_url(meant).reveal() == meant


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sslmod=require", "unknown option, sslmod. Did you mean sslmode?"),
        ("schema=x", "unknown option, schema. Name the schema of the tables with `destination.sch"),
        ("currentSchema=x", "unknown option, currentSchema. Name the schema"),
        ("pool_size=5", "unknown option, pool_size. Known here: application_name,"),
        ("ssl=require", "unknown option, ssl. Write sslmode=require"),
        ("replication=database", "unknown option, replication."),
        ("SSLMODE=require", "unknown option, SSLMODE."),
        ("=x", "unknown option"),
        ("sslmode=nonsense", "The option sslmode in the url of a Postgres database has a value th"),
        ("sslmode", "The option sslmode in the url of a Postgres database has no value."),
        ("sslmode=", "The option sslmode in the url of a Postgres database has no value."),
        ("connect_timeout=soon", "The option connect_timeout in the url"),
        ("keepalives_idle=1e3", "The option keepalives_idle in the url"),
        ("client_encoding=LATIN1", "The option client_encoding in the url"),
        ("sslmode=require&sslmode=disable", "The url of a Postgres database has sslmode twice."),
        ("user=canary", "The url of a Postgres database has user twice."),
        ("host=canary", "The url of a Postgres database has host twice."),
        ("port=1", "The url of a Postgres database has port twice."),
        ("dbname=canary", "The url of a Postgres database has dbname twice."),
        ("password=canary", "The url of a Postgres database has password twice."),
    ],
)
def test_an_option_that_cannot_be_is_named(options, said):
    for way in ({"to": True}, {"environment": True}, {}):
        url = f"postgresql://l:canary@db:5432/x?{options}"
        place, more = "connector.yaml", {}
        if "to" in way:
            place, more = "--to", {"to": url}
        if "environment" in way:
            place = "CONNECTOR_DESTINATION__URL"
            more = {"environment": {"CONNECTOR_DESTINATION__URL": url}}
        message = refused("" if more else f"destination: {{url: '{url}'}}", **more)
        assert message.startswith(f"{place}: destination.url: ")
        assert said in message
        assert "canary" not in message


# Endpoints of the source.


@pytest.mark.parametrize(
    "url",
    [
        "https://dynamodb.us-west-2.amazonaws.com",
        "http://localhost:8000",
        "http://localhost:8000/",
        "http://dynamodb.localhost:4566",
        "http://127.0.0.1:8000",
        "http://127.9.9.9",
        "http://[::1]:8000",
    ],
)
def test_an_endpoint_that_is_safe(url):
    check_endpoint(url, allow_http=False)
    assert SourceConfig(endpoint_url=url, streams_endpoint_url=url).endpoint_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://dynamodb:8000",
        "http://10.0.0.1:8000",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0:8000",
        "http://[2001:db8::1]:8000",
    ],
)
def test_plain_http_over_a_network_must_be_allowed(url):
    with pytest.raises(ConfigError, match=r"source\.allow_http"):
        check_endpoint(url, allow_http=False)
    text = f"source: {{endpoint_url: '{url}', allow_http: true}}"
    assert read(text, to=DUCKDB).source.endpoint_url == url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://localhost",
        "http://u:canary@localhost",
        "http://localhost/?x=canary",
        "http://localhost:99999",
        "http://localhost:0",
        "http://localhost:8000\n",
        "https://dynamodb..amazonaws.com",
        "https://-x.example.com",
        f"https://{'x' * 64}.example.com",
        "https://\u00fc.example.com",
        "http://[::1::2]:8000",
    ],
)
def test_an_endpoint_that_is_no_url(url):
    for allow_http in (True, False):
        with pytest.raises(ConfigError, match="An endpoint must be a URL") as caught:
            check_endpoint(url, allow_http=allow_http)
        assert "canary" not in str(caught.value)


# Secrets.


def test_a_password_is_never_printed(caplog):
    config = read(
        "destination: {url: 'postgresql://loader:${PASSWORD}@db/x?sslpassword=${PASSWORD}'}",
        environment={"PASSWORD": "canary"},
    )
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r %s", config, config, vars(config.destination.url))
    url = config.destination.url
    prints = [
        *(f"{each} {each!r}" for each in (config, config.destination, url, [url])),
        config.model_dump_json(),
        str(config.model_dump()),
        caplog.text,
    ]
    assert not any("canary" in text for text in prints)
    assert "loader:***@db" in repr(config)
    assert "canary" in url.reveal()


SECRETS = [
    "destination: {url: 'canary'}",
    "destination: {url: 'mysql://l:canary@db/x'}",
    "destination: {url: 'postgresql://l:canary/@db/x'}",
    "destination: {url: 'postgresql://l:${canary'}",
    "destination: {url: {canary: canary}}",
    "destination: {url: [canary]}",
    "destination: canary",
    "destination: {url: *canary}",
    "destination: {url: !canary x}",
    "destination: {url: 'canary",
    "destination: {url: @canary}",
    "destination: {url: '${SECRET}'}",
    "destination: {lock_timeout: '${SECRET}', url: 'duckdb:///a'}",
    "destination: {memory_limit: '${SECRET}', url: 'duckdb:///a'}",
    "destination: {storage_version: '${SECRET}', url: 'duckdb:///a'}",
    "destination: {url: 'duckdb:///a'}\ntables: {orders: {layout: '${SECRET}'}}",
    "destination: {url: 'duckdb:///a'}\nspool: 'ftp://${SECRET}'",
    "destination: {url: 'duckdb:///a'}\nsource: {endpoint_url: 'http://${SECRET}@x'}",
    "canary",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_mistake_never_shows_a_value(text):
    with pytest.raises(ConfigError) as caught:
        read(text, environment={"SECRET": "canary"})
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_pydantic_itself_hides_the_input():
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"destination": {"url": "canary"}})
    assert "canary" not in str(caught.value)


def test_a_configuration_can_be_sent_to_another_process():
    config = load(to=POSTGRES, tables=["orders"], environment={})
    assert pickle.loads(pickle.dumps(config)) == config


def test_importing_the_configuration_is_light():
    code = (
        "import sys, connector.config.model; "
        "print({'boto3', 'botocore', 'duckdb', 'pyarrow', 'sqlalchemy'} & set(sys.modules))"
    )
    root = Path(__file__).parent.parent
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"
