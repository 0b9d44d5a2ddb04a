"""What a run says of a changed contract: what is different, and what stays as it is."""

import logging

import pytest

from tests.pipeline.replica import ORDERS, key

from .conftest import Made
from .test_changed import COUNT, TIME, become, begun

pytestmark = pytest.mark.by_turns("make")

QUARANTINE = f"`connector verify {ORDERS} --repair` writes it now"


@pytest.fixture(autouse=True)
def informed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "connector.columns")


def test_only_what_has_changed_is_reported(make: Made, caplog: pytest.LogCaptureFixture) -> None:
    replica = begun(make, {**COUNT, **TIME})
    become(replica, {**COUNT, **TIME}, contract="freeze").sync()
    assert f"{ORDERS}: contract is freeze from now on; it was evolve" in caplog.messages
    caplog.clear()
    required = {"n": {"type": "integer", "required": True}}
    become(replica, {**required, **TIME}, contract="freeze").sync()
    assert caplog.messages == [
        f"{ORDERS}: columns.n is integer, required from now on; it was integer"
    ]
    caplog.clear()
    renamed = {"at": {"type": "timestamp", "rename": "moment"}}
    become(replica, {**required, **renamed}, contract="freeze").sync()
    assert f"{ORDERS}: the column of at is moment from now on; it was at" in caplog.messages


@pytest.mark.parametrize("policy", ["evolve", "freeze"])
def test_a_looser_contract_says_what_is_still_missing(
    make: Made, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    replica = begun(make, {"w": {"type": "integer"}}, contract="quarantine")
    assert not replica.verdict().extra.count
    become(replica, {"w": {"type": "integer"}}, contract=policy).sync()
    assert QUARANTINE in caplog.text
    assert replica.verdict().missing.count == 3
    caplog.clear()
    replica.sync()
    assert QUARANTINE not in caplog.text
    replica.model.put({**key(1), "w": {"S": "word"}})
    replica.sync()
    assert replica.verdict().missing.count == 2


def test_a_contract_that_left_nothing_out_says_nothing_of_it(
    make: Made, caplog: pytest.LogCaptureFixture
) -> None:
    replica = begun(make, COUNT, contract="quarantine")
    become(replica, COUNT).sync()
    assert QUARANTINE not in caplog.text
