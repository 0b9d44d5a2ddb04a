"""Fault matrix A 7 and F 83: stalls, half-open connections, names, certificates, proxies.

Here time is real, and the time-outs are short. Postgres over a bad network: tests/destinations.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.config.model import SourceConfig
from connector.errors import Unreachable
from connector.sources.dynamodb.source import DynamoDBSource
from tests.rigs.certificates import Authority
from tests.rigs.relay import Relay
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import Before, During, Fault, Put

from .replica import Replica
from .test_matrix_process import Act
from .world import open_clients_of_their_own, pages

READ_TIMEOUT = 0.3


@pytest.fixture
def impatient(replica: Replica) -> Iterator[Replica]:
    """Forty items on twenty pages, and a program that waits a third of a second for each answer."""
    replica.play(Before(40, size=900), Put("a", 1))
    replica.settings["source.read_timeout"] = READ_TIMEOUT
    with pages(2**20, 2048), open_clients_of_their_own():
        yield replica


def address(rig: ScriptedDynamoDB) -> tuple[str, int]:
    """Where the rig listens."""
    host, _, port = rig.url.removeprefix("http://").partition(":")
    return host, int(port)


def test_07_an_answer_that_does_not_come(impatient: Replica) -> None:
    """=: after the read time-out the page is asked for again."""
    impatient.play(Fault("delay", "Scan", times=2, after=3, having=(3 * READ_TIMEOUT,)))
    impatient.sync()
    assert impatient.rig.calls.count("Scan") == 22


def test_07_a_connection_that_is_half_open(impatient: Replica) -> None:
    """=: nothing comes any more, and nothing says so; a new connection is made."""
    with Relay(address(impatient.rig)) as relay:
        impatient.settings["source.endpoint_url"] = f"http://127.0.0.1:{relay.port}"

        def fall_silent() -> None:
            relay.fault.black_hole = True

        def come_back() -> None:
            relay.fault.black_hole = False

        impatient.play(During("Scan", Act(fall_silent), after=5))
        impatient.listeners.append(come_back)
        impatient.sync()
        # The answer to one call went nowhere.
        assert impatient.rig.calls.count("Scan") == 21


def test_07_a_source_that_answers_nothing_any_more(impatient: Replica) -> None:
    """X after the deadline: no read waits for ever."""
    impatient.settings["source.retry_seconds"] = 1
    with Relay(address(impatient.rig)) as relay:
        impatient.settings["source.endpoint_url"] = f"http://127.0.0.1:{relay.port}"

        def fall_silent() -> None:
            relay.fault.black_hole = True

        impatient.play(During("Scan", Act(fall_silent), after=5))
        impatient.fails(Unreachable, match="did not answer")
    impatient.settings.pop("source.endpoint_url")
    impatient.sync()


@contextmanager
def reaching(url: str) -> Iterator[Callable[[], Any]]:
    """Asks for the description of the table, once and then again until a short deadline."""
    settings = SourceConfig(endpoint_url=url, retry_seconds=1, connect_timeout=1, read_timeout=1)
    with open_clients_of_their_own():
        source = DynamoDBSource(settings, "orders", sleep=lambda seconds: None)
        source._call.monotonic = iter(range(100)).__next__
        yield source.describe


def unreachable(url: str) -> str:
    """The error of a source that cannot be reached, which must tell where to look."""
    with reaching(url) as describe, pytest.raises(Unreachable, match="did not answer") as error:
        describe()
    assert "endpoint_url" in error.value.hint
    return str(error.value)


@pytest.mark.usefixtures("replica")
def test_83_nobody_listens() -> None:
    """X with a hint."""
    unreachable("http://127.0.0.1:9")


@pytest.mark.usefixtures("replica")
def test_83_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """X with a hint. The resolver's answer is made here: asking one would leave this machine."""

    def no_such_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert "dynamodb.nowhere.example" in unreachable("https://dynamodb.nowhere.example")


def test_83_a_server_without_a_certificate(replica: Replica) -> None:
    """X: a setting that says https means it."""
    unreachable(replica.rig.url.replace("http:", "https:"))


@pytest.mark.parametrize(
    ("names", "days", "trusted", "says"),
    [
        (["127.0.0.1"], 1, True, None),
        (["127.0.0.1"], 1, False, "certificate verify failed"),
        (["127.0.0.1"], -1, True, "expired"),
        (["127.0.0.2"], 1, True, "127.0.0.1"),
    ],
    ids=["good", "of an unknown authority", "expired", "of another host"],
)
def test_83_certificates(
    replica: Replica,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    days: int,
    trusted: bool,
    says: str | None,
) -> None:
    """They are always verified: no setting and no fault switches that off."""
    ours, theirs = Authority("ours"), Authority("theirs")
    bundle = (ours if trusted else theirs).bundle(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    tls = ours.server(tmp_path, names, days)
    with Relay(address(replica.rig), tls) as relay:
        url = f"https://127.0.0.1:{relay.port}"
        if says:
            assert says in unreachable(url)
            assert not len(replica.rig.calls)
        else:
            with reaching(url) as describe:
                assert describe().streaming


def test_83_an_expired_authority(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X: what it once signed is worth nothing."""
    authority = Authority("old", days=-1)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle(tmp_path)))
    with Relay(address(replica.rig), authority.server(tmp_path, ["127.0.0.1"], 1)) as relay:
        assert "expired" in unreachable(f"https://127.0.0.1:{relay.port}")


def test_83_proxies_of_the_environment(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are used, a dead one is told, and an exception to them holds."""
    nowhere = "http://127.0.0.1:9"
    monkeypatch.setenv("HTTP_PROXY", replica.rig.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with reaching(nowhere) as describe:
        assert describe().streaming
    monkeypatch.setenv("HTTP_PROXY", nowhere)
    unreachable(replica.rig.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with reaching(replica.rig.url) as describe:
        assert describe().streaming
