"""The commands, in a process of their own: failover, status, check and verify with two Regions."""

import json
from typing import Any

import pytest

from tests.cli.program import Program, assert_one_sentence
from tests.pipeline.replica import ORDERS, SCHEMA, key, order
from tests.rigs.ready import Done
from tests.rigs.scripted import faults

from .world import EAST, NORTH, WEST, World

pytestmark = pytest.mark.by_turns("there")


def moved(program: Program, region: str = EAST, *flags: str) -> Done:
    """A failover by the program."""
    return program("failover", ORDERS, "--region", region, *flags, *program.to)


def synced(program: Program, *flags: str) -> Done:
    """A sync by the program, which must succeed."""
    done = program("sync", ORDERS, *flags, *program.to)
    assert done.code == 0, done.stderr
    return done


def rows(done: Done) -> list[dict[str, Any]]:
    """What a command prints as JSON."""
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_failover_says_where_the_table_is_now(there: World) -> None:
    synced(there.program)
    there.lost()
    done = moved(there.program, EAST, "-o", "json")
    assert done.code == 0, done.stderr
    (row,) = rows(done)
    assert (row["region"], row["phase"], row["rows"], row["result"]) == (EAST, "tailing", 40, "ok")
    assert f"orders: goes on in {EAST} instead of {WEST}" in done.stderr
    (row,) = rows(there.program("status", "-o", "json", *there.program.to))
    assert (row["region"], row["generation"]) == (EAST, 2)
    shown = there.program("status", *there.program.to)
    assert EAST in shown.stdout and WEST not in shown.stdout
    again = moved(there.program)
    assert again.code == 0
    assert f"orders: is in {EAST} already; nothing was done" in again.stderr


def test_sync_tail_and_verify_follow_the_tables_region(there: World) -> None:
    synced(there.program)
    there.lost()
    assert moved(there.program).code == 0
    there.group.tables[EAST].put(order("new", 1))
    synced(there.program)
    for command in ("tail", "verify"):
        done = there.program(command, ORDERS, *there.program.to)
        assert done.code == 0, done.stderr
    there.region = EAST
    there.assert_equal()
    assert len(there.rig.calls) == 0


WITHOUT_EAST = [
    {"CONNECTOR_SOURCE__REGIONS": f"{WEST},{NORTH}"},
    {"CONNECTOR_SOURCE__REGIONS": WEST},
    {"CONNECTOR_SOURCE__REGIONS": "", "CONNECTOR_SOURCE__REGION": WEST},
    {"CONNECTOR_SOURCE__REGIONS": "", "AWS_REGION": WEST},
    {"CONNECTOR_SOURCE__REGIONS": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": WEST},
]


def test_a_region_that_is_configured_no_longer_is_refused(
    files: World, subtests: pytest.Subtests
) -> None:
    synced(files.program)
    assert moved(files.program).code == 0
    files.rig.calls.clear()
    before = files.sql("SELECT * FROM _connector.cursors")
    for regions in WITHOUT_EAST:
        with subtests.test(**regions):
            other = files.program.with_(**regions)
            commands = ("sync", "tail", "verify", "snapshot")
            for done in other.each(*((command, ORDERS, *other.to) for command in commands)):
                assert_one_sentence(done, 2, f"orders is replicated from its table in {EAST}")
                assert "connector failover orders --region" in done.stderr
            assert files.sql("SELECT * FROM _connector.cursors") == before
            assert not files.rig.calls.log


def test_a_region_alone_may_be_followed_too(files: World, subtests: pytest.Subtests) -> None:
    synced(files.program)
    assert moved(files.program).code == 0
    for region in ("region", "regions"):
        with subtests.test(region=region):
            given = {"CONNECTOR_SOURCE__REGIONS": "", f"CONNECTOR_SOURCE__{region.upper()}": EAST}
            alone = files.program.with_(**given)
            synced(alone)
            back = moved(alone, WEST)
            assert_one_sentence(back, 2, f"{WEST} is not one of")


def test_a_file_lists_the_regions(files: World) -> None:
    (files.folder / "connector.yaml").write_text(
        f"source:\n  regions: [{WEST}, '${{SECOND}}']\n"
        f"destination:\n  url: duckdb:///warehouse.duckdb\ntables:\n  {ORDERS}: {{}}\n"
    )
    program = files.program.with_(CONNECTOR_SOURCE__REGIONS="", SECOND=EAST)
    assert program("sync").code == 0
    assert program("failover", ORDERS, "--region", EAST).code == 0
    assert files.state().identity.region == EAST


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        ("us-west-2a", "availability zone"),
        ("us_west_2", "not the name of a Region"),
        ("US-WEST-2", "not the name of a Region"),
        (f"{WEST},{WEST}", "listed twice"),
    ],
)
def test_what_is_no_list_of_regions_is_refused(files: World, regions: str, says: str) -> None:
    program = files.program.with_(CONNECTOR_SOURCE__REGIONS=regions)
    program = program.with_(CONNECTOR_SOURCE__ENDPOINT_URL=files.rig.url)
    done = program("sync", ORDERS, *program.to)
    assert_one_sentence(done, 2, says)
    assert "CONNECTOR_SOURCE__REGIONS: source.regions" in done.stderr


@pytest.mark.parametrize("value", ["5", "{west: 1}", "[5]", "[[us-west-2]]"])
def test_a_file_with_something_else_is_refused(files: World, value: str) -> None:
    (files.folder / "connector.yaml").write_text(
        f"source:\n  regions: {value}\ndestination:\n  url: duckdb:///warehouse.duckdb\n"
    )
    done = files.program.with_(CONNECTOR_SOURCE__REGIONS="")("sync", ORDERS)
    assert_one_sentence(done, 2, "must be a list of Regions")


def test_an_endpoint_of_one_region_cannot_serve_the_other(files: World) -> None:
    url = f"https://vpce-1.dynamodb.{WEST}.vpce.amazonaws.com"
    given = files.program.with_(CONNECTOR_SOURCE__ENDPOINT_URL=url)
    done = given("sync", ORDERS, *given.to)
    assert_one_sentence(done, 2, f"an endpoint of {WEST}, through which {EAST} cannot be read")
    synced(files.program)
    surrounding = files.program.with_(AWS_ENDPOINT_URL_DYNAMODB=url)
    done = moved(surrounding)
    assert_one_sentence(done, 2, f"an endpoint of {WEST}, through which {EAST} cannot be read")


def refused(world: World, says: str, code: int = 2) -> Done:
    """A failover that must be refused, and change nothing."""
    before = world.state()
    done = moved(world.program)
    assert_one_sentence(done, code, says)
    assert world.state() == before
    return done


def test_a_table_of_the_same_name_is_no_replica(files: World) -> None:
    synced(files.program)
    files.other.delete_table(ORDERS)
    done = refused(files, f"no table {ORDERS} in {EAST}")
    assert "only a witness, which holds no table" in done.stderr
    files.other.create_table(ORDERS, SCHEMA).put(order(1))
    done = refused(files, "a table of its own, not a replica")
    assert "--full-refresh" in done.stderr
    way_out = files.program.with_(CONNECTOR_SOURCE__REGIONS="", CONNECTOR_SOURCE__REGION=EAST)
    done = way_out("snapshot", ORDERS, "--full-refresh", "--yes", *way_out.to)
    assert done.code == 0, done.stderr
    assert len(files.numbers()) == 1


def test_a_table_with_another_key_is_no_replica(files: World) -> None:
    from tests.rigs.scripted import Key, KeySchema

    synced(files.program)
    files.other.delete_table(ORDERS)
    files.other.create_table(ORDERS, KeySchema(Key("id"), Key("at", "N")))
    refused(files, "has the key id S, at N")


def test_a_stream_that_is_off_there_is_named_with_its_command(files: World) -> None:
    synced(files.program)
    files.group.consistency = "STRONG"
    files.group.tables[EAST].streams.clear()
    done = refused(files, f"The stream of orders in {EAST} is not switched on")
    assert f"aws dynamodb update-table --table-name orders --region {EAST} " in done.stderr
    files.group.tables[EAST].enable_stream()
    assert moved(files.program).code == 0
    files.group.tables[WEST].disable_stream()
    done = moved(files.program, WEST)
    assert_one_sentence(done, 2, f"The stream of orders in {WEST} is not switched on")


def test_a_replica_that_is_not_active_is_refused(files: World, subtests: pytest.Subtests) -> None:
    synced(files.program)
    files.group.lists_itself = True
    for status, code in (("REGION_DISABLED", 2), ("DELETING", 2), ("CREATING", 4)):
        with subtests.test(status):
            files.group.statuses[EAST] = status
            refused(files, f"in {EAST} is {status}", code)


def test_a_replica_that_receives_nothing_is_refused(files: World) -> None:
    synced(files.program)
    files.group.tables[EAST].status = "REPLICATION_NOT_AUTHORIZED"
    refused(files, f"in {EAST} is REPLICATION_NOT_AUTHORIZED", 2)
    files.group.tables[EAST].status = "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
    refused(files, "is INACCESSIBLE_ENCRYPTION_CREDENTIALS", 3)
    files.group.tables[EAST].status = "UPDATING"
    assert moved(files.program).code == 0


def test_a_table_that_is_being_made_there_can_be_tried_later(files: World) -> None:
    synced(files.program)
    files.group.tables[EAST].status = "CREATING"
    refused(files, "is CREATING", 4)


@pytest.mark.parametrize("fault", ["hangs", "hangs up", "unavailable"])
def test_the_first_region_is_never_asked(files: World, fault: str) -> None:
    synced(files.program)
    effect = {
        "hangs": faults.delay(10**6),
        "hangs up": faults.cut_connection(),
        "unavailable": faults.unavailable(),
    }[fault]
    files.rig.faults.add(effect, times=10**6)
    files.rig.calls.clear()
    assert moved(files.program).code == 0
    synced(files.program)
    assert not files.rig.calls.log


def test_many_tables_and_one_that_failed_over(files: World) -> None:
    from tests.rigs.scripted import global_table

    program = files.program
    others = global_table("users", SCHEMA, files.rig, files.other)
    plain = files.rig.create_table("plain", SCHEMA)
    others.tables[WEST].put(order("ann", 1))
    plain.put(order("p", 1))
    names = ("users", ORDERS, "plain")
    assert program("sync", *names, *program.to).code == 0
    assert moved(program).code == 0
    files.group.cut(WEST)
    files.group.tables[EAST].put(order("east", 1))
    files.group.tables[WEST].put(order("west", 1))
    others.tables[WEST].put(order("bob", 1))
    plain.put(order("q", 1))
    done = program("sync", *names, *program.to)
    assert done.code == 0, done.stderr
    files.region = EAST
    files.assert_equal()
    assert files.sql("SELECT count(*) FROM users") == [(2,)]
    assert files.sql("SELECT count(*) FROM plain") == [(2,)]
    found = {
        row["table"]: row["region"] for row in rows(program("status", "-o", "json", *program.to))
    }
    assert found == {ORDERS: EAST, "users": WEST, "plain": WEST}


def test_a_table_named_by_its_arn_fails_over(files: World) -> None:
    arn = files.group.tables[WEST].arn
    assert arn.split(":")[3] == WEST
    program = files.program
    assert program("sync", arn, *program.to).code == 0
    files.lost()
    files.group.tables[EAST].put(order("new", 1))
    done = program("failover", arn, "--region", EAST, *program.to)
    assert done.code == 0, done.stderr
    assert program("sync", arn, *program.to).code == 0
    assert program("verify", arn, *program.to).code == 0
    assert not files.rig.calls.log
    called = {call.table for call in files.other.calls if call.operation == "Scan"}
    assert called == {files.group.tables[EAST].arn}


def test_an_arn_says_where_a_table_begins(files: World) -> None:
    arn = files.group.tables[EAST].arn
    program = files.program
    assert program("sync", arn, *program.to).code == 0
    assert not files.rig.calls.log
    other = program.with_(CONNECTOR_SOURCE__REGIONS=f"{WEST},{NORTH}")
    done = other("sync", arn.replace("orders", "others"), *other.to)
    assert_one_sentence(done, 2, f"is in {EAST}, which source.regions does not list")


def test_a_state_without_a_region_is_in_the_configured_one(there: World) -> None:
    synced(there.program)
    there.by_hand("UPDATE _connector.tables SET region = NULL")
    there.group.tables[WEST].put(order("more", 1))
    synced(there.program)
    (row,) = rows(there.program("status", "-o", "json", *there.program.to))
    assert row["region"] == WEST
    assert there.state().identity.region == ""
    there.group.tables[WEST].put(order("and more", 1))
    # Whatever the order of the list: its ARN says where it was.
    turned = there.program.with_(CONNECTOR_SOURCE__REGIONS=f"{EAST},{WEST}")
    synced(turned)
    (row,) = rows(turned("status", "-o", "json", *turned.to))
    assert row["region"] == WEST
    there.assert_equal()
    stays = moved(there.program, WEST)
    assert stays.code == 0 and "already" in stays.stderr
    there.lost()
    assert moved(there.program).code == 0
    assert there.state().identity.region == EAST


def test_check_shows_the_replicas_and_tries_each_region(files: World) -> None:
    synced(files.program)
    done = files.program("check", ORDERS, "-o", "json", *files.program.to)
    assert done.code == 0, done.stderr
    found = {row["check"]: row for row in rows(done) if row["table"] == ORDERS}
    detail = found["replicas"]["detail"]
    assert detail.startswith(f"read in {WEST};") and f"{EAST} ACTIVE" in detail
    assert found[f"replicas in {EAST}"]["detail"].startswith(f"can be read in {EAST};")
    assert "EVENTUAL" in detail
    for operation in ("DescribeTable", "Scan", "GetRecords", "BatchGetItem"):
        assert found[f"{operation} in {EAST}"]["ok"]
        assert found[operation]["ok"]


def test_check_of_an_arn_asks_for_the_one_of_each_region(files: World) -> None:
    arn = files.group.tables[WEST].arn
    done = files.program("check", arn, "-o", "json", *files.program.to)
    assert done.code == 0, done.stdout
    assert {row["table"] for row in rows(done)} == {None, arn}
    for region, service in ((WEST, files.rig), (EAST, files.other)):
        (call,) = service.calls.of("Scan")
        assert call.table == files.group.tables[region].arn


def test_a_plain_table_is_no_less_welcome_beside_global_ones(files: World) -> None:
    files.rig.create_table("plain", SCHEMA)
    done = files.program("check", "plain", "-o", "json", *files.program.to)
    assert done.code == 0, done.stdout
    found = {row["check"]: row["detail"] for row in rows(done)}
    assert found["replicas"] == f"not a global table, so it can be read in {WEST} alone"
    assert not files.other.calls.log


def test_check_names_what_is_not_allowed_in_the_other_region(files: World) -> None:
    synced(files.program)
    files.other.faults.add(faults.access_denied(), on="Scan", times=10)
    done = files.program("check", ORDERS, "-o", "json", *files.program.to)
    assert done.code == 2
    wrong = [row["check"] for row in rows(done) if not row["ok"]]
    assert wrong == [f"Scan in {EAST}"]


@pytest.mark.parametrize(
    ("regions", "says"),
    [(f"{WEST},{EAST},{NORTH}", f"no replica in {NORTH}"), (f"{WEST},eu-west-1", "the witness")],
)
def test_check_says_where_nothing_can_be_read(files: World, regions: str, says: str) -> None:
    files.group.witnesses = ("eu-west-1",)
    program = files.program.with_(CONNECTOR_SOURCE__REGIONS=regions)
    done = program("check", ORDERS, "-o", "json", *program.to)
    assert done.code == 2, done.stdout
    (wrong,) = (row for row in rows(done) if not row["ok"] and row["check"] == "replicas")
    assert says in wrong["detail"]
    assert "source.regions" in wrong["fix"]


def test_check_follows_the_tables_region(files: World) -> None:
    synced(files.program)
    assert moved(files.program).code == 0
    done = files.program("check", ORDERS, "-o", "json", *files.program.to)
    assert done.code == 0
    found = {row["check"]: row["detail"] for row in rows(done)}
    assert f"read in {EAST}" in found["replicas"]
    elsewhere = files.program.with_(CONNECTOR_SOURCE__REGIONS=f"{WEST},{NORTH}")
    done = elsewhere("check", ORDERS, "-o", "json", *elsewhere.to)
    assert done.code == 2
    assert "replicated from its table in" in done.stdout


def test_verify_compares_with_another_region(there: World) -> None:
    synced(there.program)
    flags = ("verify", ORDERS, "--region", EAST, "-o", "json", *there.program.to)
    done = there.program(*flags)
    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["equal"] and found["matching"] == 40
    assert found["region"] == EAST
    # Still on its way when the comparison begins.
    there.group.tables[WEST].put(order("late", 1), order(1, 5))
    there.group.tables[WEST].delete(key(2))
    done = there.program(*flags)
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["matching"] == 40
    there.group.tables[EAST].streams.clear()
    assert there.program(*flags).code == 0


def test_verify_finds_what_another_region_lacks(
    files: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.pipeline.replica import caught_up

    synced(files.program)
    files.group.cut(WEST)
    files.group.tables[WEST].put(order("only here", 1), order(1, 999))
    files.group.tables[EAST].put(order("only there", 1))
    files.sync(caught_up)
    done = files.program("verify", ORDERS, "--region", EAST, "-o", "json", *files.program.to)
    assert done.code == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["extra"]["keys"] == ['["S","only here"]'] or found["extra"]["count"] == 1
    assert found["missing"]["count"] == 1
    assert found["different"]["count"] == 1
    assert f"connector failover {ORDERS} --region {EAST}" in done.stderr


def test_verify_refuses_what_cannot_be_compared(files: World) -> None:
    synced(files.program)
    flags = ("verify", ORDERS, *files.program.to)
    done = files.program(*flags, "--region", EAST, "--repair")
    assert_one_sentence(done, 2, "--repair and --region exclude each other")
    assert_one_sentence(files.program(*flags, "--region", NORTH), 2, f"{NORTH} is not one of")
    files.other.delete_table(ORDERS)
    files.other.create_table(ORDERS, SCHEMA)
    assert_one_sentence(files.program(*flags, "--region", EAST), 2, "not a replica")
