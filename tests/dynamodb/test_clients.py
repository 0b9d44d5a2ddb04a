"""Clients that the tables of a run share."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from connector.config.model import SourceConfig
from connector.errors import SourceRefused
from connector.sources.dynamodb.client import FRESH_SECONDS, Clients, SharedClients
from connector.stop import Clock

SOURCE = SourceConfig(region="us-west-2")
THREADS = 8


@dataclass
class Hands:
    """A clock that is set by hand."""

    seconds: float = 1000.0

    def clock(self) -> Clock:
        return Clock(lambda: datetime.now(UTC), lambda: self.seconds)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that credentials stand in."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return path


def write(path: Path, key: str) -> None:
    path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def key_of(clients: Clients) -> str:
    key: str = clients.dynamodb._request_signer._credentials.access_key
    return key


def test_tables_that_ask_at_once_share_one_pair(keys: Path) -> None:
    write(keys, "FIRST")
    shared, together = SharedClients(SOURCE), Barrier(THREADS, timeout=60)

    def get(_: int) -> Clients:
        together.wait()
        return shared.get()

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(get, range(THREADS)))
    assert all(each is found[0] for each in found)


def test_a_table_that_begins_later_has_the_keys_that_stand_in_the_file_by_then(keys: Path) -> None:
    hands = Hands()
    write(keys, "FIRST")
    shared = SharedClients(SOURCE, clock=hands.clock())
    first = shared.get()
    write(keys, "SECOND")
    hands.seconds += FRESH_SECONDS
    assert shared.get() is first
    hands.seconds += 1
    assert key_of(shared.get()) == "SECOND"
    assert key_of(first) == "FIRST"


def test_a_table_that_tries_again_has_what_was_mended_meanwhile(keys: Path) -> None:
    hands = Hands()
    write(keys, "FIRST")
    shared = SharedClients(SOURCE, clock=hands.clock())
    first = shared.get()
    failed_at = hands.seconds = hands.seconds + 1
    write(keys, "SECOND")
    hands.seconds += 1
    shared.forget(before=failed_at)
    second = shared.get()
    assert (key_of(first), key_of(second)) == ("FIRST", "SECOND")
    # Another table that failed at the same time shares them.
    shared.forget(before=failed_at)
    assert shared.get() is second


def test_a_log_in_that_fails_is_tried_again(keys: Path) -> None:
    shared = SharedClients(SOURCE)
    for _ in range(2):
        with pytest.raises(SourceRefused, match="there are no credentials"):
            shared.get()
    write(keys, "FIRST")
    assert key_of(shared.get()) == "FIRST"


def test_all_who_wait_for_it_hear_why_it_failed(keys: Path) -> None:
    shared, together = SharedClients(SOURCE), Barrier(THREADS, timeout=60)

    def fail(_: int) -> str:
        together.wait()
        with pytest.raises(SourceRefused) as caught:
            shared.get()
        return caught.value.message

    with ThreadPoolExecutor(THREADS) as threads:
        assert len(set(threads.map(fail, range(THREADS)))) == 1
