"""Credentials that end during a run are renewed; what refuses a renewal ends the run."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.errors import ConnectorError, SourceRefused, Unreachable
from connector.sources.dynamodb.login import credentials as renewal
from tests.cli.program import ended, wait_until
from tests.pipeline.replica import ORDERS, order
from tests.rigs.scripted import Table, faults

from .account import INNER_ROLE, OUTER_ROLE, SECRET, Account
from .test_ways import (
    eks_pod_identity,
    instance_metadata,
    keys,
    role_over_profile,
    sso_session,
    sso_session_renewed,
    web_identity_by_variables,
)

LIFETIME = 4.0
"""Seconds: longer than a call, shorter than a run."""


def role_of_the_source(account: Account) -> str:
    keys(account)
    account.variables["CONNECTOR_SOURCE__ROLE_ARN"] = OUTER_ROLE
    return "AssumeRole"


def process_of_short_life(account: Account) -> str:
    """A process that asks the container's endpoint, which hands out credentials that end."""
    command = account.script(
        "print-credentials",
        "import json, urllib.request\n"
        f"got = json.load(urllib.request.urlopen({account.logins.url!r} + '/process'))\n"
        "print(json.dumps({'Version': 1, 'SessionToken': got['Token'], **got}))",
    )
    account.config(f"[profile reader]\ncredential_process = {command}\n")
    account.variables = {"AWS_PROFILE": "reader"}
    return "Container"


RENEWED = [
    role_of_the_source,
    role_over_profile,
    web_identity_by_variables,
    sso_session,
    eks_pod_identity,
    process_of_short_life,
]


def renewals(account: Account) -> int:
    """How many different keys reached the table."""
    return len(account.keys_used())


@pytest.mark.by_turns("way", at_once=2)
@pytest.mark.parametrize("way", RENEWED, ids=lambda way: way.__name__)
def test_a_run_outlives_its_credentials(account: Account, way: Callable[[Account], str]) -> None:
    account.logins.lifetime = LIFETIME
    handed_out_by = way(account)
    assert account.sync().code == 0
    process = account.start("tail", ORDERS, "--follow", CONNECTOR_TAIL__IDLE_POLL_SECONDS="0.3")
    account.rig.calls.clear()
    wait_until(lambda: renewals(account) >= 3, process)
    done = ended(process, signal.SIGINT)
    assert done.code in (0, 130), done.stderr
    assert account.ways() == {handed_out_by}


@pytest.fixture
def large(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    """A table of many pages, which takes longer to scan than credentials hold."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 500)
    table = account.rig.create_table("large", account.rig.model(ORDERS).schema)
    table.load(order(n, n) for n in range(1500))
    account.rig.faults.add(faults.delay(0.3), on="Scan", times=10_000)
    yield table
    account.rig.faults.clear()
    account.rig.delete_table("large")


@pytest.mark.by_turns("flags", "variables")
@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        # A flag lets them be forked, a setting lets them be started when they are needed.
        (("--workers", "2"), {}),
        ((), {"CONNECTOR_SCAN__WORKERS": "2"}),
    ],
    ids=["forked", "spawned"],
)
def test_worker_processes_renew_their_credentials(
    account: Account, large: Table, flags: tuple[str, ...], variables: dict[str, str]
) -> None:
    account.logins.lifetime = LIFETIME
    role_of_the_source(account)
    done = account.run("sync", "large", *flags, CONNECTOR_SCAN__SEGMENTS="2", **variables)
    assert done.code == 0, done.stderr
    used = [
        {call.key for call in account.rig.calls.of("Scan", segment=segment)} for segment in (0, 1)
    ]
    assert min(map(len, used)) >= 2
    assert not used[0] & used[1]
    assert {account.logins.issued[key].role for key in account.keys_used()} == {OUTER_ROLE}


@pytest.mark.by_turns("code", "status", "exit_code", "says", at_once=2)
@pytest.mark.parametrize(
    ("code", "status", "exit_code", "says"),
    [
        ("AccessDenied", 403, 2, "AWS refused AssumeRole"),
        ("ExpiredToken", 403, 2, "expired"),
        ("ServiceUnavailable", 503, 4, "AWS answered AssumeRole with 503"),
        ("Throttling", 400, 4, "AWS kept throttling AssumeRole"),
    ],
)
def test_a_run_ends_as_its_renewal_does(
    account: Account, code: str, status: int, exit_code: int, says: str
) -> None:
    role_of_the_source(account)
    account.logins.lifetime = LIFETIME
    assert account.sync().code == 0
    account.rig.calls.clear()
    process = account.start("tail", ORDERS, "--follow", CONNECTOR_SOURCE__RETRY_SECONDS="1")
    wait_until(lambda: account.rig.calls.count("GetRecords") > 0, process)
    account.logins.refuse("AssumeRole", code, status=status)
    done = ended(process)
    assert done.code == exit_code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


def test_many_threads_log_in_once(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    # Within botocore's window, in which it would ask again for each call.
    account.logins.lifetime = 300
    role_over_profile(account)
    source = account.source(monkeypatch)
    together = threading.Barrier(16)

    def read(_: int) -> None:
        together.wait()
        for _again in range(5):
            source.describe()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(read, range(16)))
    assert len(account.logins.asked("AssumeRole")) == 1
    assert renewals(account) == 1


def test_credentials_that_still_hold_outlast_a_failure_of_sts(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewal, "RENEW_SECONDS", 0.0)
    account.logins.lifetime = 300
    role_over_profile(account)
    source = account.source(monkeypatch)
    source.describe()
    account.logins.refuse("AssumeRole", "ServiceUnavailable", status=503)
    source.describe()
    assert renewals(account) == 1
    assert len(account.logins.asked("AssumeRole")) > 1
    assert "are still valid" in caplog.text
    account.logins.mend()
    source.describe()
    assert renewals(account) == 2


def test_credentials_that_are_refused_are_not_used_up(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "RENEW_SECONDS", 0.0)
    account.logins.lifetime = 300
    role_over_profile(account)
    source = account.source(monkeypatch)
    source.describe()
    account.logins.refuse("AssumeRole", "AccessDenied", status=403)
    with pytest.raises(SourceRefused, match=INNER_ROLE):
        source.describe()


@pytest.mark.parametrize(
    ("way", "operation"),
    [
        (role_over_profile, "AssumeRole"),
        (web_identity_by_variables, "AssumeRoleWithWebIdentity"),
        (sso_session, "GetRoleCredentials"),
        (sso_session_renewed, "CreateToken"),
    ],
)
@pytest.mark.by_turns("status")
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_service_that_fails_is_asked_again(
    account: Account,
    way: Callable[[Account], str],
    operation: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed_out_by = way(account)
    account.logins.refuse(operation, "Unavailable", status=status, times=2)
    account.source(monkeypatch).describe()
    assert account.ways() == {handed_out_by}
    assert len(account.logins.asked(operation)) == 3


@pytest.mark.parametrize(
    "way",
    [role_over_profile, web_identity_by_variables, sso_session, sso_session_renewed],
    ids=lambda way: way.__name__,
)
def test_a_service_that_is_not_there_is_unreachable(
    account: Account, way: Callable[[Account], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    way(account)
    account.variables |= dict.fromkeys(account.logins.variables, "http://127.0.0.1:1")
    source = account.source(monkeypatch, CONNECTOR_SOURCE__RETRY_SECONDS="0.3")
    with pytest.raises(Unreachable, match=r"(STS|AWS SSO) did not answer"):
        source.describe()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_container_s_endpoint_that_fails_is_for_later(
    account: Account, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    eks_pod_identity(account)
    account.logins.reply("Container", b"canary", status=status)
    with pytest.raises(Unreachable, match=str(status)):
        account.source(monkeypatch)


@pytest.mark.by_turns("status")
@pytest.mark.parametrize("operation", ["MetadataToken", "MetadataRole", "Metadata"])
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_metadata_service_that_fails_is_for_later(
    account: Account, operation: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance_metadata(account)
    account.logins.reply(operation, b"canary", status=status)
    with pytest.raises(Unreachable, match=r"instance metadata"):
        account.source(monkeypatch)


def test_a_metadata_service_that_is_named_must_be_there(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance_metadata(account)
    account.variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1"
    with pytest.raises(Unreachable, match="did not answer"):
        account.source(monkeypatch)


@pytest.mark.parametrize(
    "body", [b"<html>Please log in</html>", b"", b"[]", b"null", b'{"roleCredentials": {}}']
)
@pytest.mark.by_turns("operation")
@pytest.mark.parametrize("operation", ["AssumeRole", "GetRoleCredentials"])
def test_what_is_no_answer_of_the_service_is_asked_for_again(
    account: Account, operation: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = role_over_profile if operation == "AssumeRole" else sso_session
    way(account)
    account.logins.reply(operation, body)
    source = account.source(monkeypatch, CONNECTOR_SOURCE__RETRY_SECONDS="0.3")
    with pytest.raises(ConnectorError, match="without credentials") as caught:
        source.describe()
    assert caught.value.exit_code == 4


def test_a_renewed_sso_token_is_kept(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    sso_session_renewed(account)
    account.source(monkeypatch).describe()
    account.source(monkeypatch).describe()
    assert len(account.logins.asked("CreateToken")) == 1


def test_a_token_that_is_garbled_during_a_run_wants_a_new_login(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "RENEW_SECONDS", 0.0)
    account.logins.lifetime = 300
    sso_session(account)
    source = account.source(monkeypatch)
    source.describe()
    account.sso_token("work", "x", 1).write_text("canary{")
    with pytest.raises(SourceRefused, match="aws sso login --profile reader"):
        source.describe()
