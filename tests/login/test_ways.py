"""The real program logs in by every way that botocore knows, and reads the table with that key."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from botocore.utils import ContainerMetadataFetcher

from connector.items.wire import scan_page
from tests.cli.program import COMMAND, PATIENCE
from tests.pipeline.replica import ORDERS

from .account import INNER_ROLE, OUTER_ROLE, SECRET, STATIC, TOKEN, Account

KEYS = f"aws_access_key_id = {STATIC}\naws_secret_access_key = {SECRET}\n"


def keys(account: Account) -> str:
    account.variables = {"AWS_ACCESS_KEY_ID": STATIC, "AWS_SECRET_ACCESS_KEY": SECRET}
    return STATIC


def keys_with_token(account: Account) -> str:
    keys(account)
    account.variables["AWS_SESSION_TOKEN"] = TOKEN
    return STATIC


def profile_in_credentials(account: Account) -> str:
    account.file(".aws/credentials", f"[reader]\n{KEYS}")
    account.variables = {"AWS_PROFILE": "reader"}
    return STATIC


def profile_in_config(account: Account) -> str:
    account.config(f"[profile reader]\n{KEYS}")
    account.variables = {"CONNECTOR_SOURCE__PROFILE": "reader"}
    return STATIC


def default_profile(account: Account) -> str:
    account.file(".aws/credentials", f"[default]\n{KEYS}")
    return STATIC


def files_elsewhere(account: Account) -> str:
    config = account.file("etc/config", "[profile reader]\nregion = us-west-2\n")
    credentials = account.file("etc/credentials", f"[reader]\n{KEYS}")
    account.variables = {
        "AWS_PROFILE": "reader",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    return STATIC


def role_over_profile(account: Account) -> str:
    account.config(
        f"[profile base]\n{KEYS}\n"
        f"[profile reader]\nrole_arn = {INNER_ROLE}\nsource_profile = base\nexternal_id = in-42\n"
    )
    account.variables = {"AWS_PROFILE": "reader"}
    return "AssumeRole"


def role_over_role(account: Account) -> str:
    account.config(
        f"[profile base]\n{KEYS}\n"
        f"[profile middle]\nrole_arn = {INNER_ROLE}\nsource_profile = base\n"
        f"[profile reader]\nrole_arn = {INNER_ROLE}-2\nsource_profile = middle\n"
    )
    account.variables = {"AWS_PROFILE": "reader"}
    return "AssumeRole"


def role_over_sso(account: Account) -> str:
    sso_session(account)
    account.config(
        (account.home / ".aws/config").read_text()
        + f"[profile over]\nrole_arn = {INNER_ROLE}\nsource_profile = reader\n"
    )
    account.variables = {"AWS_PROFILE": "over"}
    return "AssumeRole"


def role_over_environment(account: Account) -> str:
    account.config(f"[profile reader]\nrole_arn = {INNER_ROLE}\ncredential_source = Environment\n")
    keys(account)
    account.variables["CONNECTOR_SOURCE__PROFILE"] = "reader"
    return "AssumeRole"


def role_over_container(account: Account) -> str:
    eks_pod_identity(account)
    account.config(f"[profile reader]\nrole_arn = {INNER_ROLE}\ncredential_source = EcsContainer\n")
    account.variables["AWS_PROFILE"] = "reader"
    return "AssumeRole"


def role_over_metadata(account: Account) -> str:
    instance_metadata(account)
    account.config(
        f"[profile reader]\nrole_arn = {INNER_ROLE}\ncredential_source = Ec2InstanceMetadata\n"
    )
    account.variables["AWS_PROFILE"] = "reader"
    return "AssumeRole"


SESSION = (
    "[sso-session work]\nsso_start_url = https://example.awsapps.com/start\n"
    "sso_region = eu-west-1\n"
    "sso_registration_scopes = sso:account:access\n"
    "[profile reader]\nsso_session = work\nsso_account_id = 123456789012\nsso_role_name = Reader\n"
)
RENEWABLE = {
    "refreshToken": "again",
    "clientId": "client",
    "clientSecret": "client-secret",
    "registrationExpiresAt": "2999-01-01T00:00:00Z",
}


def sso_session(account: Account) -> str:
    account.config(SESSION)
    account.sso_token("work", "sso-token-0", 7200)
    account.variables = {"AWS_PROFILE": "reader"}
    return "GetRoleCredentials"


def sso_session_renewed(account: Account) -> str:
    account.config(SESSION)
    account.sso_token("work", "too-old", -60, **RENEWABLE)
    account.variables = {"AWS_PROFILE": "reader"}
    return "GetRoleCredentials"


def sso_of_old(account: Account) -> str:
    start = "https://example.awsapps.com/start"
    account.config(
        f"[profile reader]\nsso_start_url = {start}\nsso_region = eu-west-1\n"
        "sso_account_id = 123456789012\nsso_role_name = Reader\n"
    )
    account.sso_token(start, "sso-token-0", 7200)
    account.variables = {"AWS_PROFILE": "reader"}
    return "GetRoleCredentials"


def web_identity_by_variables(account: Account) -> str:
    account.variables = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(account.file("token", "web-token")),
        "AWS_ROLE_ARN": INNER_ROLE,
        "AWS_ROLE_SESSION_NAME": "pod",
    }
    return "AssumeRoleWithWebIdentity"


def web_identity_by_profile(account: Account) -> str:
    token = account.file("token", "web-token")
    account.config(
        f"[profile reader]\nrole_arn = {INNER_ROLE}\nweb_identity_token_file = {token}\n"
    )
    account.variables = {"CONNECTOR_SOURCE__PROFILE": "reader"}
    return "AssumeRoleWithWebIdentity"


def ecs_container(account: Account) -> str:
    account.logins.container_token = "Basic abc"
    account.variables = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{account.logins.url}/v2/credentials/task",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc",
    }
    return "Container"


def eks_pod_identity(account: Account) -> str:
    account.logins.container_token = "pod-token"
    account.variables = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{account.logins.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(account.file("pod", "pod-token")),
    }
    return "Container"


def instance_metadata(account: Account) -> str:
    account.variables = {
        "AWS_EC2_METADATA_DISABLED": "",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": account.logins.url,
    }
    return "Metadata"


def credential_process(account: Account) -> str:
    command = account.process("print-credentials")
    account.config(f"[profile reader]\ncredential_process = {command} --for me\n")
    account.variables = {"AWS_PROFILE": "reader"}
    return STATIC


WAYS = [
    keys,
    keys_with_token,
    profile_in_credentials,
    profile_in_config,
    default_profile,
    files_elsewhere,
    role_over_profile,
    role_over_role,
    role_over_sso,
    role_over_environment,
    role_over_container,
    role_over_metadata,
    sso_session,
    sso_session_renewed,
    sso_of_old,
    web_identity_by_variables,
    web_identity_by_profile,
    ecs_container,
    eks_pod_identity,
    instance_metadata,
    credential_process,
]


parametrized = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@parametrized
def test_the_table_is_read_with_these_credentials(
    account: Account, way: Callable[[Account], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out_by = way(account)
    source = account.source(monkeypatch)
    source.describe()
    assert source.listing().shards
    source.page(0, 1, None, scan_page)
    assert account.ways() == {handed_out_by}
    assert {each.region for each in account.logins.asked("AssumeRole")} <= {"us-west-2"}


@parametrized
def test_a_role_is_assumed_over_these_credentials(
    account: Account, way: Callable[[Account], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out_by = way(account)
    account.source(
        monkeypatch,
        CONNECTOR_SOURCE__ROLE_ARN=OUTER_ROLE,
        CONNECTOR_SOURCE__EXTERNAL_ID="ours-7",
    ).describe()
    *_, last = account.logins.asked("AssumeRole")
    assert last.parameters["RoleArn"] == OUTER_ROLE
    assert last.parameters["ExternalId"] == "ours-7"
    assert last.region == "us-west-2"
    signed_with = account.logins.issued.get(last.key)
    assert (signed_with.operation if signed_with else last.key) == handed_out_by
    assert {account.logins.issued[key].role for key in account.keys_used()} == {OUTER_ROLE}


@pytest.mark.by_turns("way", at_once=2)
@pytest.mark.parametrize(
    "way",
    [
        role_over_sso,
        sso_session_renewed,
        sso_of_old,
        web_identity_by_variables,
        eks_pod_identity,
        instance_metadata,
        credential_process,
    ],
    ids=lambda way: way.__name__,
)
def test_the_program_syncs_with_these_credentials(
    account: Account, way: Callable[[Account], str]
) -> None:
    handed_out_by = way(account)
    done = account.sync()
    assert done.code == 0, done.stderr
    assert account.ways() == {handed_out_by}
    assert {call.operation for call in account.rig.calls} > {"Scan", "GetRecords"}


def test_a_task_of_ecs_is_asked_at_its_own_address(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It has a fixed address, which this machine does not.
    monkeypatch.setattr(
        ContainerMetadataFetcher, "full_url", lambda self, path: f"{account.logins.url}{path}"
    )
    account.source(
        monkeypatch, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/1"
    ).describe()
    assert account.ways() == {"Container"}
    assert account.logins.asked("Container")[0].path == "/v2/credentials/1"


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"CONNECTOR_SOURCE__REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-2"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-3"),
        ({"AWS_REGION": ""}, "eu-west-4"),
    ],
)
def test_sts_is_asked_in_the_region_of_the_source(
    account: Account,
    variables: dict[str, str],
    region: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    role_over_role(account)
    config = (account.home / ".aws/config").read_text()
    account.config(config.replace("[profile reader]", "[profile reader]\nregion = eu-west-4"))
    account.source(monkeypatch, CONNECTOR_SOURCE__ROLE_ARN=OUTER_ROLE, **variables).describe()
    asked = account.logins.asked("AssumeRole")
    assert [each.region for each in asked] == [region] * 3


def test_the_profile_of_the_configuration_wins_over_variables(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_over_profile(account)
    account.variables |= {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": SECRET}
    account.source(monkeypatch, CONNECTOR_SOURCE__PROFILE="reader").describe()
    assert account.ways() == {"AssumeRole"}


def test_keys_in_variables_win_over_a_profile_in_a_variable(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_over_profile(account)
    account.variables |= {"AWS_ACCESS_KEY_ID": STATIC, "AWS_SECRET_ACCESS_KEY": SECRET}
    account.source(monkeypatch, AWS_PROFILE="reader").describe()
    assert account.ways() == {STATIC}


@pytest.mark.parametrize("mode", ["AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"])
def test_retries_are_the_connector_s_whatever_a_variable_says(
    account: Account, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_over_profile(account)
    account.source(monkeypatch, **{mode: "nonsense"}).describe()
    assert account.ways() == {"AssumeRole"}


MFA = "arn:aws:iam::123456789012:mfa/me"


def role_with_a_code(account: Account) -> None:
    account.config(
        f"[profile base]\n{KEYS}\n[profile reader]\nrole_arn = {INNER_ROLE}\n"
        f"source_profile = base\nmfa_serial = {MFA}\n"
    )
    account.variables = {"AWS_PROFILE": "reader"}


def test_a_code_is_asked_for_at_the_terminal_once_for_all_processes(account: Account) -> None:
    role_with_a_code(account)
    shown = at_a_terminal(account, b"123456\n", "sync", ORDERS, "--workers", "2")
    assert f"Enter MFA code for {MFA}".encode() in shown
    (asked,) = account.logins.asked("AssumeRole")
    assert asked.parameters["TokenCode"] == "123456"
    assert asked.parameters["SerialNumber"] == MFA
    assert account.ways() == {"AssumeRole"}
    # The session is kept where the AWS CLI keeps it, for runs without a terminal.
    done = account.sync()
    assert done.code == 0, done.stderr
    assert len(account.logins.asked("AssumeRole")) == 1
    (kept,) = (account.home / ".aws/cli/cache").iterdir()
    assert kept.stat().st_mode & 0o077 == 0


CONTROLLED = """
import os, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal that is stdin the one that controls a new session."""


def at_a_terminal(account: Account, typed: bytes, *arguments: str) -> bytes:
    """Runs the program at a terminal of its own, and types once it is asked."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, *COMMAND, *arguments, *account.program.to],
        cwd=account.home,
        env=account.environment(CONNECTOR_SCAN__SEGMENTS="2"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    # The other side is closed once the command has ended.
    with suppress(OSError):
        while chunk := os.read(ours, 65_536):
            if b"MFA code" not in written and b"MFA code" in written + chunk:
                os.write(ours, typed)
            written += chunk
    os.close(ours)
    assert process.wait(PATIENCE) == 0, written
    return written
