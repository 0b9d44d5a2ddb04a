"""GetRecords may answer anything: no record is lost, and no shard ends before its end.

Each wrong answer meets one shard of its own, so that a run or two meet them all.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, Shard, faults
from tests.rigs.scripted.faults import Effect

from .replica import ORDERS, SCHEMA, Replica, key, order, tampered

ORDERS_EACH = 6


def end_early(page: dict[str, Any]) -> None:
    """The answer of a shard that has nothing more, which this one has."""
    page["Records"] = []
    page.pop("NextShardIterator", None)


WRONG_BODIES: dict[str, Effect] = {
    "empty": faults.wrong_body(b""),
    "html": faults.html(),
    "cut": faults.cut_body(0.5),
    "null": faults.wrong_body(b"null"),
    "array": faults.wrong_body(b"[]"),
    "object": faults.wrong_body(b"{}"),
    "without records": faults.without("Records"),
    "null records": faults.wrong_body(tampered(Records=None)),
    "only an iterator": faults.wrong_body(tampered(NextShardIterator="x")),
    "cut connection": faults.cut_connection(),
    "wrong checksum": faults.wrong_checksum(),
    "error 500": faults.internal_server_error(),
    "error 503": faults.unavailable(),
    "too many readers": faults.limit_exceeded(),
    "throttled": faults.throttle("ProvisionedThroughputExceededException"),
    "throttled too": faults.throttle("ThrottlingException"),
    "throttled as well": faults.throttle("RequestLimitExceeded"),
    "expired iterator": faults.expired_iterator(),
    "trimmed, though nothing is missing": faults.trimmed(),
    "no next iterator": faults.without("NextShardIterator"),
    "false end": faults.edit(end_early),
    "repeated page": faults.repeat(),
    "empty page": faults.empty_page(),
}


@pytest.fixture
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that is up to date, with a shard for each wrong answer and orders in each shard."""
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        table = rig.create_table(ORDERS, SCHEMA, shards=len(WRONG_BODIES))
        for shard in table.stream.open_shards():
            table.put(*(order(number, 0) for number in numbers_of(table.schema, shard)))
        replica = Replica(rig, tmp_path_factory.mktemp("sharded"))
        replica.sync()
        replica.assert_equal()
        yield replica


def numbers_of(schema: Any, shard: Shard) -> list[int]:
    """The first orders whose keys belong to a shard."""
    found = (n for n in range(100_000) if schema.position(key(n))[0] in shard.hashes)
    return [next(found) for _ in range(ORDERS_EACH)]


def change(replica: Replica, round_: int) -> None:
    """Changes and deletes orders of every shard."""
    for shard in replica.model.stream.open_shards():
        numbers = numbers_of(replica.model.schema, shard)
        replica.model.put(*(order(number, round_) for number in numbers[1:]))
        replica.model.delete(key(numbers[round_ % ORDERS_EACH]))


def break_each(replica: Replica, times: int) -> dict[str, str]:
    """Adds each wrong answer to one shard; says which shard has which."""
    shards = replica.model.stream.open_shards()
    broken = dict(zip((shard.id for shard in shards), WRONG_BODIES, strict=True))
    for shard, name in broken.items():
        replica.rig.faults.add(WRONG_BODIES[name], on="GetRecords", shard=shard, times=times)
    return broken


def losers(replica: Replica, broken: dict[str, str]) -> set[str]:
    """The wrong answers in whose shards source and table differ."""
    there, here = replica.truth(), replica.numbers()
    lost = [text for text in there.keys() | here.keys() if there.get(text) != here.get(text)]
    hashes = [replica.model.schema.position(key(text))[0] for text in lost]
    shards = [replica.model.stream.shards[shard] for shard in broken]
    return {broken[shard.id] for shard in shards if any(each in shard.hashes for each in hashes)}


def test_a_wrong_answer_loses_no_record_and_ends_no_shard(sharded: Replica) -> None:
    broken = break_each(sharded, times=2)
    change(sharded, 1)
    sharded.sync()
    assert all(rule.fired == 2 for rule in sharded.rig.faults.rules)
    assert losers(sharded, broken) == set()
    sharded.assert_equal()
    cursors = sharded.state().shards
    assert [name for shard, name in broken.items() if cursors[shard].done] == []


def test_a_wrong_answer_of_a_closed_shard_loses_no_record(sharded: Replica) -> None:
    broken = break_each(sharded, times=1)
    change(sharded, 1)
    sharded.model.stream.roll_all()
    change(sharded, 2)
    sharded.sync()
    assert losers(sharded, broken) == set()
    sharded.assert_equal()
    cursors = sharded.state().shards
    assert [name for shard, name in broken.items() if not cursors[shard].done] == []
