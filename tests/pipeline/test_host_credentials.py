"""A run with credentials that a host program has got reads with these and with no others."""

from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, NoRegionError, ParamValidationError, ProfileNotFound

from connector import job
from connector.config import loading as configuration
from connector.errors import ConnectorError, SourceRefused, Throttled
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize("workers", [None, 1, 3])
@pytest.mark.usefixtures("nobody")
def test_the_scan_reads_with_them_too(tmp_path: Path, workers: int | None) -> None:
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        table = rig.create_table("orders", KeySchema(Key("id")))
        table.load([{"id": {"S": str(number)}} for number in range(20)])
        config = configuration.load(
            to=f"duckdb:///{tmp_path}/wh.duckdb",
            tables=["orders"],
            environment={},
            overrides={
                "source.region": "us-west-2",
                "source.endpoint_url": rig.url,
                "scan.segments": 4,
                "scan.workers": workers,
                "tail.quiet_seconds": 0.06,
                "tail.poll_seconds": 0.02,
            },
        )
        with pytest.raises(SourceRefused):
            job.open_run(config, "orders").sync(lambda tail: tail.caught_up())
        credentials = Credentials("AKIA", "secret")
        run = job.open_run(config, "orders", credentials=credentials)
        run.sync(lambda tail: tail.caught_up())
        assert run.destination.count("orders") == 20


def answered(code: str, operation: str = "AssumeRole", status: int = 400) -> ClientError:
    """What botocore raises for an answer of AWS's."""
    answer: Any = {
        "Error": {"Code": code, "Message": "canary"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (answered("AccessDenied", status=403), 2, "AssumeRole"),
        (answered("ValidationError"), 2, "AssumeRole"),
        (answered("MalformedPolicyDocument"), 2, "AssumeRole"),
        (answered("ExpiredToken"), 2, "AssumeRole"),
        (answered("ExpiredTokenException", status=400), 2, "AssumeRole"),
        (answered("RegionDisabledException", status=403), 2, "AssumeRole"),
        (answered("IDPRejectedClaim", "AssumeRoleWithWebIdentity"), 2, "AssumeRoleWithWebIdentity"),
        (answered("Throttling"), 4, "AssumeRole"),
        (answered("InternalFailure", status=500), 4, "AssumeRole"),
        (NoRegionError(), 2, "egion"),
        (ProfileNotFound(profile="nobody"), 2, "no profile nobody"),
        (ParamValidationError(report="canary"), 2, "AWS"),
        (Throttled("Later."), 4, "Later."),
    ],
)
def test_what_a_host_s_session_raises_is_an_error_of_ours(
    error: Exception, code: int, said: str
) -> None:
    with pytest.raises(ConnectorError) as caught, job.source_errors():
        raise error
    assert caught.value.exit_code == code
    assert said in caught.value.message
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value is error


def test_a_bug_of_the_host_s_session_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), job.source_errors():
        raise ZeroDivisionError
