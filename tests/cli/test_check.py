"""`connector check`: a line for each need of a run, all of them tried and nothing changed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.sources.dynamodb.client import READ_ONLY
from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.rigs import duckdb_file
from tests.rigs.logins import ACCOUNT, Logins
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .mistakes import NOWHERE, SOON
from .program import COMMAND, Done, Program, assert_one_sentence, fingerprints
from .test_terminal import on_a_terminal, plain

pytestmark = pytest.mark.xdist_group("cli_check")

GENERAL = [
    "configuration",
    "identity",
    "clock",
    "destination",
    "state",
    "destination schema",
    "spool",
]
OF_A_TABLE = [
    "DescribeTable",
    "table status",
    "stream",
    "Scan",
    "DescribeStream",
    "GetShardIterator",
    "GetRecords",
    "BatchGetItem",
    "destination table",
]
ACTIONS = [each for each in OF_A_TABLE if each[0].isupper()]
Row = dict[str, Any]


class Checked:
    """What a check printed, and how it left."""

    def __init__(self, done: Done) -> None:
        self.done = done
        self.rows: list[Row] = json.loads(done.stdout)
        assert all(list(row) == ["table", "check", "ok", "detail", "fix"] for row in self.rows)
        for row in self.rows:
            assert row["ok"] in (True, False)
            assert row["detail"]
            assert (row["fix"] is None) is row["ok"]
        assert "Traceback" not in done.stderr
        assert "unexpected" not in done.stderr

    @property
    def bad(self) -> list[str]:
        """The needs that are not met, except those that could not be tried."""
        tried = (row for row in self.rows if not row["detail"].startswith("not tried"))
        return [row["check"] for row in tried if not row["ok"]]

    @property
    def waiting(self) -> list[str]:
        """The needs that could not be tried."""
        return [row["check"] for row in self.rows if row["detail"].startswith("not tried")]

    def row(self, check: str, table: str | None = None) -> Row:
        """The line of a need."""
        (found,) = [row for row in self.rows if (row["check"], row["table"]) == (check, table)]
        return found


def checked(program: Program, *arguments: str) -> Checked:
    """A check that changes nothing in the program's folder, whatever it finds."""
    before = fingerprints(program.folder)
    folders = sorted(program.folder.rglob("*"))
    found = Checked(program("check", *arguments, "--output", "json", *program.to))
    assert fingerprints(program.folder) == before
    assert sorted(program.folder.rglob("*")) == folders
    return found


@pytest.mark.parametrize("kind", ["program", "synced"])
def test_every_need_is_tried_and_nothing_is_changed(
    kind: str, rig: ScriptedDynamoDB, request: pytest.FixtureRequest
) -> None:
    ready = request.getfixturevalue(kind)
    rig.calls.clear()
    found = checked(ready, ORDERS)
    assert found.done.code == 0
    assert [(row["table"], row["check"]) for row in found.rows] == [
        *((None, check) for check in GENERAL),
        *((ORDERS, check) for check in OF_A_TABLE),
    ]
    assert all(row["ok"] for row in found.rows)
    assert {call.operation for call in rig.calls} == set(ACTIONS) == READ_ONLY
    assert all(rig.calls.count(action) == 1 for action in ACTIONS)


def test_the_lines_say_what_is_there(synced: Program) -> None:
    found = checked(synced, ORDERS)
    for check, says in {
        "DescribeTable": "key id S; about 40 items",
        "table status": "ACTIVE",
        "stream": "NEW_AND_OLD_IMAGES",
        "DescribeStream": "ENABLED",
        "BatchGetItem": "needed for verify",
        "destination table": "main.orders",
    }.items():
        assert says in found.row(check, ORDERS)["detail"]
    assert "DuckDB" in found.row("destination")["detail"]
    assert "GB free" in found.row("spool")["detail"]
    assert "us-west-2" in found.row("identity")["detail"]


def test_what_will_be_kept_is_named_before_there_is_a_table(program: Program) -> None:
    text = f"tables: {{{ORDERS}: {{history: true, changes: true}}}}\n"
    (program.folder / "connector.yaml").write_text(text)
    detail = checked(program, ORDERS).row("destination table", ORDERS)["detail"]
    assert detail.endswith("created, with orders__changes and orders__history beside it")


@pytest.mark.parametrize(
    ("settings", "key", "says"),
    [
        ("columns: {total: {mask: '*'}}", "", "columns.total has changed"),
        ("columns: {total: {hash: true}}", "a" * 32, "columns.total has changed"),
        ("follow: exports", "", "follow is now exports and was stream"),
        ("unlisted: exclude", "", "unlisted has changed"),
        ("routes: [{when: {a: b}, into: one}, {else: two}]", "", "its routes have changed"),
        ("columns: {n: {type: string}}", "", "columns.n.type is now string"),
        ("columns: {absent: {required: true}}, contract: fail", "", "contract is now fail"),
        ("layout: packed", "", "layout is now packed"),
    ],
)
def test_settings_that_the_next_run_refuses_are_found(
    synced: Program, settings: str, key: str, says: str
) -> None:
    url = (synced.folder / "exports").as_uri()
    written = f"exports: {{url: '{url}'}}\ntables: {{{ORDERS}: {{{settings}}}}}\n"
    (synced.folder / "connector.yaml").write_text(written)
    program = synced.with_(CONNECTOR_HASH_KEY=key)
    found = checked(program, ORDERS)
    row = found.row("settings", ORDERS)
    assert not row["ok"] and says in row["detail"]
    places = [row["detail"] for row in found.rows if row["check"] == "destination table"]
    assert len(set(places)) == len(places)
    refused = program("sync", ORDERS, *program.to)
    assert (refused.code, row["detail"] in refused.stderr) == (2, True)


def test_the_table_shows_the_same(program: Program) -> None:
    done = program("check", ORDERS, *program.to)
    assert done.code == 0
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["table", "check", "ok", "detail", "fix"]
    assert len(lines) == len(GENERAL) + len(OF_A_TABLE)


@pytest.mark.by_turns("columns")
@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_on_a_terminal_each_need_is_a_line_and_what_to_do_stands_below_it(
    program: Program, others: Callable[[str | None], None], columns: str
) -> None:
    others(None)
    shown = plain(on_a_terminal(program, "check", "others", code=2, COLUMNS=columns))
    table, _, told = shown.partition("Error: ")
    header, *lines = table.splitlines()
    assert header.split() == ["table", "check", "ok", "detail"]
    place = header.index("detail")
    needs = [line[:place].split() for line in lines if line[:place].strip()]
    assert [need[-1] for need in needs].count("False") == 4
    assert len(needs) == len(GENERAL) + len(OF_A_TABLE)
    assert sum(line[place:].startswith("fix: ") for line in lines) == 4
    assert "update-table" in told


def test_on_a_narrow_terminal_nothing_empty_is_shown(
    program: Program, others: Callable[[str | None], None]
) -> None:
    others(None)
    shown = plain(on_a_terminal(program, "check", "others", code=2, COLUMNS="40"))
    lines = [line.split() for line in shown.partition("Error: ")[0].splitlines()]
    assert ["check", "stream"] in lines and ["table", "others"] in lines
    assert sum(line[:2] == ["detail", "fix:"] for line in lines) == 4
    assert not [line for line in lines if len(line) == 1 and line[0] in ("table", "check", "ok")]


def refusal(action: str) -> faults.Effect:
    arn = "arn:aws:dynamodb:us-west-2:000000000000:table/orders"
    return faults.error(
        "AccessDeniedException",
        f"User: arn:aws:sts::000000000000:assumed-role/x/y is not authorized to perform: "
        f"dynamodb:{action} on resource: {arn} because no identity-based policy allows the "
        f"dynamodb:{action} action",
    )


REST_ON = {
    "DescribeTable": [
        "table status",
        "stream",
        "DescribeStream",
        "GetShardIterator",
        "GetRecords",
        "BatchGetItem",
    ],
    "Scan": [],
    "DescribeStream": ["GetShardIterator", "GetRecords"],
    "GetShardIterator": ["GetRecords"],
    "GetRecords": [],
    "BatchGetItem": [],
}


@pytest.mark.by_turns("action", at_once=3)
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_that_is_denied_is_a_line_of_its_own(
    program: Program, rig: ScriptedDynamoDB, action: str
) -> None:
    rig.faults.add(refusal(action), on=action, times=10_000)
    found = checked(program, ORDERS)
    assert found.done.code == 2
    assert found.bad == [action]
    assert found.waiting == REST_ON[action]
    row = found.row(action, ORDERS)
    assert f"dynamodb:{action}" in row["detail"]
    assert "identity-based policy" in row["detail"]
    assert ("connector verify" in row["fix"]) is (action == "BatchGetItem")
    (error,) = found.done.lines("Error: ")
    assert f"dynamodb:{action}" in error
    assert len(found.done.lines("Hint: ")) == 1


def test_every_denied_action_is_named_at_once(program: Program, rig: ScriptedDynamoDB) -> None:
    for action in ("Scan", "GetRecords", "BatchGetItem"):
        rig.faults.add(refusal(action), on=action, times=10_000)
    found = checked(program, ORDERS)
    assert found.bad == ["Scan", "GetRecords", "BatchGetItem"]
    (error,) = found.done.lines("Error: ")
    assert "3 needs" in error
    assert "GetRecords of orders" in error


@pytest.fixture
def others(rig: ScriptedDynamoDB) -> Iterator[Callable[[str | None], None]]:
    """Makes a second table, with this stream or none."""
    made = []

    def make(view: str | None) -> None:
        rig.create_table("others", SCHEMA, view=view).put(order(1))
        made.append("others")

    yield make
    for name in made:
        rig.delete_table(name)


@pytest.mark.parametrize(
    ("view", "bad", "waiting"),
    [
        (None, ["stream"], ["DescribeStream", "GetShardIterator", "GetRecords"]),
        ("LAST_IMAGE", ["stream"], []),
    ],
)
@pytest.mark.by_turns("first")
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_bad_table_hides_no_other(
    program: Program,
    others: Callable[[str | None], None],
    view: str | None,
    bad: list[str],
    waiting: list[str],
    first: bool,
) -> None:
    others(view)
    found = checked(program, *(["others", ORDERS] if first else [ORDERS, "others"]))
    assert found.done.code == 2
    assert (found.bad, found.waiting) == (bad, waiting)
    for table in (ORDERS, "others"):
        assert [row["check"] for row in found.rows if row["table"] == table] == OF_A_TABLE
    assert all(row["ok"] for row in found.rows if row["table"] == ORDERS)
    assert "update-table" in found.row("stream", "others")["fix"]


def test_a_stream_that_was_switched_off_is_told(
    program: Program, rig: ScriptedDynamoDB, others: Callable[[str | None], None]
) -> None:
    others("NEW_IMAGE")
    rig.model("others").disable_stream()
    found = checked(program, "others")
    assert found.bad == ["stream"]
    assert found.done.code == 2


def test_a_table_that_is_not_there_has_all_its_lines(program: Program) -> None:
    found = checked(program, "nothing", ORDERS)
    assert found.bad == ["DescribeTable"]
    assert found.waiting == [*REST_ON["DescribeTable"][:2], "Scan", *REST_ON["DescribeTable"][2:]]
    assert found.row("destination table", "nothing")["ok"]
    assert found.done.code == 2


@pytest.mark.parametrize(
    ("status", "code"), [("ARCHIVED", 2), ("DELETING", 2), ("CREATING", 4), ("UPDATING", 0)]
)
def test_the_status_of_a_table_is_judged(
    program: Program, rig: ScriptedDynamoDB, status: str, code: int
) -> None:
    effect = faults.edit(lambda content: content["Table"].update(TableStatus=status))
    rig.faults.add(effect, on="DescribeTable", times=10_000)
    found = checked(program, ORDERS)
    assert found.done.code == code
    assert status in found.row("table status", ORDERS)["detail"]
    assert found.row("DescribeTable", ORDERS)["ok"]
    assert found.bad == (["table status"] if code else [])


def test_what_may_pass_by_itself_is_to_be_tried_later(program: Program) -> None:
    found = checked(program.with_(**SOON | NOWHERE), ORDERS)
    assert found.done.code == 4
    assert found.bad == ["DescribeTable"]
    assert "clock" in found.waiting
    assert "Scan" in found.waiting


@pytest.mark.by_turns("action", at_once=2)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_proxys_page_is_no_permission(
    program: Program, rig: ScriptedDynamoDB, action: str
) -> None:
    rig.faults.add(faults.html(), on=action, times=10_000)
    found = checked(program.with_(**SOON), ORDERS)
    assert found.bad == [action]
    assert found.done.code == 4


def test_a_throttled_action_is_to_be_tried_later_and_a_denied_one_is_not(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    rig.faults.add(faults.throttle(), on="Scan", times=10_000)
    assert checked(program.with_(**SOON), ORDERS).done.code == 4
    rig.faults.add(refusal("GetRecords"), on="GetRecords", times=10_000)
    found = checked(program.with_(**SOON), ORDERS)
    assert found.done.code == 2
    assert found.bad == ["Scan", "GetRecords"]


@pytest.mark.parametrize(
    ("seconds", "ok", "says"),
    [
        (0, True, "to the second"),
        (-90, True, "ahead"),
        (200, True, "behind"),
        (3600, False, "behind"),
        (-3600, False, "ahead"),
    ],
)
def test_the_clock_is_compared(
    program: Program, rig: ScriptedDynamoDB, seconds: float, ok: bool, says: str
) -> None:
    rig.clock.advance(seconds)
    try:
        found = checked(program, ORDERS)
    finally:
        rig.clock.advance(-seconds)
    row = found.row("clock")
    assert (row["ok"], found.done.code) == (ok, 0 if ok else 2)
    assert says in row["detail"]


def test_a_clock_so_wrong_that_aws_answers_nothing_else_is_compared_all_the_same(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    text = "Signature expired: 20261128T000000Z is now earlier than 20261128T015500Z"
    rig.faults.add(faults.error("InvalidSignatureException", text), times=10_000)
    rig.clock.advance(hours=2)
    try:
        found = checked(program.with_(**SOON), ORDERS)
    finally:
        rig.clock.advance(hours=-2)
    assert found.bad == ["clock", "DescribeTable"]
    assert "behind" in found.row("clock")["detail"]


def test_without_a_table_the_rest_is_checked(program: Program) -> None:
    found = checked(program)
    assert found.done.code == 0
    assert [row["check"] for row in found.rows] == GENERAL


def test_the_caller_is_named_with_its_account_and_region(program: Program) -> None:
    with Logins() as logins:
        found = checked(program.with_(AWS_ENDPOINT_URL_STS=logins.url), ORDERS)
        assert logins.operations() == ["GetCallerIdentity"]
    detail = found.row("identity")["detail"]
    assert ACCOUNT in detail
    assert "arn:aws:" in detail
    assert "us-west-2" in detail


@pytest.mark.by_turns("code")
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidClientTokenId"])
def test_an_identity_that_cannot_be_asked_fails_nothing(program: Program, code: str) -> None:
    with Logins() as logins:
        logins.refuse("GetCallerIdentity", code, status=403)
        found = checked(program.with_(AWS_ENDPOINT_URL_STS=logins.url), ORDERS)
        assert found.done.code == 0
        nobody = program.with_(AWS_ENDPOINT_URL_STS=logins.url, **SOON | NOWHERE)
        assert checked(nobody, ORDERS).bad == ["identity", "DescribeTable"]
    assert "could not be determined" in found.row("identity")["detail"]
    away = program.with_(AWS_ENDPOINT_URL_STS=NOWHERE["AWS_ENDPOINT_URL_DYNAMODB"])
    found = checked(away, ORDERS)
    assert found.done.code == 0
    assert "could not be determined" in found.row("identity")["detail"]


def test_no_credentials_are_told_once_for_each_table(program: Program) -> None:
    anonymous = program.with_(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    found = checked(anonymous, ORDERS)
    assert found.done.code == 2
    assert "DescribeTable" in found.bad
    assert all(row["ok"] for row in found.rows if row["check"].startswith(("destination", "spool")))


@pytest.mark.parametrize(
    "text", ["tables: {orders: {}}\ndestinatoin: {url: x}\n", "tables: [", "source: {region: 7}\n"]
)
def test_a_configuration_that_cannot_be_read_is_the_only_line(program: Program, text: str) -> None:
    (program.folder / "connector.yaml").write_text(text)
    found = checked(program, ORDERS)
    assert [row["check"] for row in found.rows] == found.bad == ["configuration"]
    assert found.done.code == 2
    assert len(found.done.lines("Error: ")) == 1


def test_a_spool_that_cannot_be_made_is_told(program: Program) -> None:
    (program.folder / "file").write_text("")
    found = checked(program.with_(CONNECTOR_SPOOL=f"{program.folder}/file/spool"), ORDERS)
    assert found.bad == ["spool"]
    assert "spool:" in found.row("spool")["fix"]
    assert found.done.code == 2
    done = program.with_(CONNECTOR_SPOOL=f"{program.folder}/file/spool")(
        "sync", ORDERS, *program.to
    )
    assert_one_sentence(done, 2, "spool")


def test_a_spool_that_is_there_is_left_as_it_is(program: Program) -> None:
    spool = program.folder / "spool" / "orders"
    spool.mkdir(parents=True)
    (spool / "link.arrow").write_text("mine")
    assert checked(program.with_(CONNECTOR_SPOOL=str(spool.parent)), ORDERS).done.code == 0


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=16k none small || exit 99
"$@"
"""


@pytest.mark.by_turns("full")
@pytest.mark.parametrize("full", ["spool", "destination"])
def test_a_full_disk_is_told_as_such(program: Program, full: str) -> None:
    (program.folder / "small").mkdir()
    small = program.with_(CONNECTOR_SPOOL="small" if full == "spool" else "spool")
    to = program.to if full == "spool" else ["--to", "duckdb:///small/w.duckdb"]
    shell = ("unshare", "--mount", "--map-root-user", "sh", "-c", ON_A_SMALL_DISK, "sh")
    done = small("check", ORDERS, "-o", "json", *to, command=(*shell, *COMMAND))
    if done.code == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    found = Checked(done)
    assert found.bad == [full]
    assert "room" in found.row(full)["detail"] or "full" in found.row(full)["detail"]
    assert done.code == 4


def test_a_folder_that_nobody_may_write_is_told(program: Program) -> None:
    """As a user of no privileges: root may write everywhere."""
    folder = program.folder / "read-only"
    folder.mkdir()
    shell = 'mount -t tmpfs -o ro none read-only || exit 99; "$@"'
    run = ("unshare", "--mount", "--map-root-user", "sh", "-c", shell, "sh", *COMMAND)
    to = ["--to", "duckdb:///read-only/w.duckdb"]
    done = program("check", ORDERS, "-o", "json", *to, command=run)
    if done.code == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    found = Checked(done)
    assert found.bad == ["destination", "spool"]
    assert "read-only" in found.row("destination")["detail"]
    assert found.done.code == 2


def missing_folder(program: Program) -> list[str]:
    return ["--to", f"duckdb:///{program.folder}/no/w.duckdb"]


def no_duckdb(program: Program) -> list[str]:
    program.file.write_bytes(b"id,n\n1,2\n" * 1000)
    return program.to


@pytest.mark.parametrize("prepare", [missing_folder, no_duckdb])
def test_a_destination_that_cannot_be_opened_agrees_with_sync(
    program: Program, prepare: Callable[[Program], list[str]]
) -> None:
    to = prepare(program)
    before = fingerprints(program.folder)
    found = Checked(program("check", ORDERS, "-o", "json", *to))
    assert found.bad[0] == "destination"
    assert found.waiting == ["state", "destination schema", "destination table"]
    assert found.done.code == 2
    done = program("sync", ORDERS, *to)
    assert done.code == 2
    assert found.row("destination")["detail"] in done.stderr
    assert fingerprints(program.folder) == before


def test_a_file_that_another_process_holds_is_to_be_tried_later(synced: Program) -> None:
    with duckdb_file.held(synced.file):
        found = Checked(synced.with_(**SOON)("check", ORDERS, "-o", "json", *synced.to))
    assert found.done.code == 4
    assert found.bad == ["destination"]
    assert "held by process" in found.row("destination")["detail"]


SPOILT = {
    "another's table": ("DROP TABLE orders; CREATE TABLE orders (id VARCHAR)", "changed"),
    "a column that is gone": ("ALTER TABLE orders DROP n", "changed"),
    "a constraint": ("ALTER TABLE orders ALTER n SET NOT NULL", "constraint"),
    "a newer state": ("UPDATE _connector.tables SET state_version = 99", "version 99"),
    "a damaged state": ("ALTER TABLE _connector.cursors DROP token", "state"),
}


@pytest.mark.parametrize(("sql", "says"), SPOILT.values(), ids=SPOILT)
def test_what_somebody_changed_in_the_destination_is_told(
    synced: Program, sql: str, says: str
) -> None:
    with duckdb_file.opened(synced.file) as connection:
        connection.execute(sql)
    found = checked(synced, ORDERS)
    assert found.done.code == 2
    assert set(found.bad) <= {"state", "destination table"}
    assert any(says in f"{row['detail']} {row['fix']}" for row in found.rows if not row["ok"])


def test_a_table_that_is_not_ours_is_told_before_the_first_sync(program: Program) -> None:
    with duckdb_file.opened(program.file) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 'mine' AS id")
    found = checked(program, ORDERS)
    assert found.bad == ["destination table"]
    assert "not created by the connector" in found.row("destination table", ORDERS)["detail"]


def test_two_tables_of_one_target_are_told(synced: Program, rig: ScriptedDynamoDB) -> None:
    (synced.folder / "connector.yaml").write_text("tables: {others: {into: ORDERS}}")
    rig.create_table("others", SCHEMA)
    try:
        found = checked(synced, "others")
    finally:
        rig.delete_table("others")
    assert found.bad == ["destination table"]


def test_a_role_is_tried_as_sync_assumes_it(program: Program) -> None:
    role = {"CONNECTOR_SOURCE__ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/reader"}
    with Logins() as logins:
        assumed = program.with_(AWS_ENDPOINT_URL_STS=logins.url, **role)
        assert checked(assumed, ORDERS).done.code == 0
        logins.refuse("AssumeRole", "AccessDenied", "not authorized", status=403)
        found = checked(assumed, ORDERS)
    assert found.done.code == 2
    assert "DescribeTable" in found.bad
    assert "AssumeRole" in found.row("DescribeTable", ORDERS)["detail"]


def test_a_stream_at_an_endpoint_that_has_none_names_the_setting(program: Program) -> None:
    with ScriptedDynamoDB(clock=RunningClock()) as other:
        found = checked(program.with_(AWS_ENDPOINT_URL_DYNAMODB_STREAMS=other.url), ORDERS)
    assert found.bad == ["DescribeStream"]
    assert "source.streams_endpoint_url" in found.row("DescribeStream", ORDERS)["fix"]


def test_a_stream_without_a_shard_is_not_ready(program: Program, rig: ScriptedDynamoDB) -> None:
    def empty(content: Any) -> None:
        content["StreamDescription"].update(StreamStatus="ENABLING", Shards=[])

    rig.faults.add(faults.edit(empty), on="DescribeStream", times=10_000)
    found = checked(program, ORDERS)
    assert found.bad == ["GetShardIterator"]
    assert found.done.code == 4


def test_a_file_that_was_checked_can_be_synced(program: Program, tmp_path: Path) -> None:
    assert checked(program, ORDERS).done.code == 0
    assert program("sync", ORDERS, *program.to).code == 0
    assert checked(program, ORDERS).done.code == 0
    assert program("verify", ORDERS, *program.to).code == 0
