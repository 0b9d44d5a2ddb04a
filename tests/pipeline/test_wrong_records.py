"""GetRecords may answer anything: no record is lost, and no shard ends before its end."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults
from tests.rigs.scripted.faults import Effect

from .replica import ORDERS, SCHEMA, Replica, change, order, tampered


def end_early(page: dict[str, Any]) -> None:
    """The answer of a shard that has nothing more, which this one has."""
    page["Records"] = []
    page.pop("NextShardIterator", None)


WRONG_BODIES = {
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


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """One replica for all these tests: each changes it and syncs it once more."""
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA).put(*(order(n, 0) for n in range(20)))
        yield Replica(rig, tmp_path_factory.mktemp("standing"))


rounds = itertools.count(1)


@pytest.mark.parametrize("effect", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_wrong_answer_loses_no_record_and_ends_no_shard(
    standing: Replica, effect: Effect
) -> None:
    standing.rig.faults.clear()
    (shard,) = standing.model.stream.open_shards()
    change(standing, next(rounds))
    rule = standing.rig.faults.add(effect, on="GetRecords", shard=shard.id, times=2)
    standing.sync()
    assert rule.fired == 2
    standing.assert_equal()
    assert not standing.state().shards[shard.id].done


@pytest.mark.parametrize("effect", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_wrong_answer_of_a_closed_shard_loses_no_record(
    standing: Replica, effect: Effect
) -> None:
    standing.rig.faults.clear()
    (shard,) = standing.model.stream.open_shards()
    change(standing, next(rounds))
    standing.model.stream.roll()
    change(standing, next(rounds))
    standing.rig.faults.add(effect, on="GetRecords", shard=shard.id)
    standing.sync()
    standing.assert_equal()
    assert standing.state().shards[shard.id].done
