"""What a run asks of AWS is asked once, with as little as it takes."""

import pytest

from connector.config.model import SourceConfig
from connector.sources.dynamodb.needs import Trial
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB

VALUES = {"S": "text", "N": "7", "B": "AP8="}


@pytest.mark.parametrize("kinds", [("S",), ("N",), ("B",), ("N", "B"), ("B", "S")], ids="".join)
def test_every_kind_of_key_can_be_asked_for(kinds, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    keys = [Key(f"k{place}", kind) for place, kind in enumerate(kinds)]
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table("orders", KeySchema(*keys)).put(
            {key.name: {key.type: VALUES[key.type]} for key in keys}
        )
        config = SourceConfig(region="us-west-2", endpoint_url=rig.url, retry_seconds=0.2)
        trial = Trial(config, "orders", sleep=lambda seconds: None)
        needs = list(trial.needs())
        assert [need.error for need in needs] == [None] * 8
        (scan,) = rig.calls.of("Scan")
        (read,) = rig.calls.of("GetRecords")
        assert scan.parameters["Limit"] == read.parameters["Limit"] == 1
        (asked,) = rig.calls.of("BatchGetItem")
        (key,) = asked.parameters["RequestItems"]["orders"]["Keys"]
        assert [*key] == [each.name for each in keys]
    assert trial.ahead is not None
    assert [(each.name, each.tag) for each in trial.keys] == [(k.name, k.type) for k in keys]
