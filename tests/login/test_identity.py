"""Who AWS takes us for."""

import pytest
from botocore.credentials import Credentials

from connector.config.model import SourceConfig
from connector.errors import ConfigError, ConnectorError, SourceRefused, Throttled, Unreachable
from connector.sources.dynamodb.identity import CallerIdentity, caller
from tests.rigs.logins import ACCOUNT, Logins

from .account import OUTER_ROLE, SECRET, STATIC

SOURCE = SourceConfig(region="eu-central-1", connect_timeout=1, read_timeout=5)


@pytest.fixture(autouse=True)
def surroundings(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    """Static credentials, and STS on loopback."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", STATIC)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", logins.url)


def test_the_caller_is_whom_the_credentials_belong_to(logins: Logins) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/{STATIC}"
    assert caller(SOURCE) == CallerIdentity(ACCOUNT, arn, "eu-central-1")
    (asked,) = logins.asked("GetCallerIdentity")
    assert asked.region == "eu-central-1"


def test_the_caller_is_the_role_that_the_source_names() -> None:
    assert caller(SOURCE.model_copy(update={"role_arn": OUTER_ROLE})).arn == OUTER_ROLE


def test_the_caller_is_the_host_s_whose_credentials_are_given() -> None:
    assert caller(SOURCE, Credentials("AKIAHOST", SECRET)).arn.endswith(":user/AKIAHOST")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidClientTokenId", 403, SourceRefused),
        ("ExpiredToken", 403, SourceRefused),
        ("RegionDisabledException", 403, SourceRefused),
        ("Throttling", 400, Throttled),
        ("InternalFailure", 500, Unreachable),
    ],
)
def test_what_sts_refuses_is_an_error_of_ours(
    logins: Logins, code: str, status: int, kind: type[ConnectorError]
) -> None:
    logins.refuse("GetCallerIdentity", code, status=status)
    with pytest.raises(kind) as caught:
        caller(SOURCE)
    assert "GetCallerIdentity" in caught.value.message
    assert caught.value.hint


def test_an_answer_without_an_account_is_a_bad_one(logins: Logins) -> None:
    logins.reply("GetCallerIdentity", b"<html>Please log in</html>")
    with pytest.raises(ConnectorError) as caught:
        caller(SOURCE)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("url", ["localhost:8000", "http://localhost:99999", "http://[::1"])
def test_an_endpoint_of_sts_that_is_no_url_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_STS: An endpoint must be a URL"):
        caller(SOURCE)
