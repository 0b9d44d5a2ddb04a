"""The real program logs in by every way that botocore knows, and reads the table with that key."""

from collections.abc import Callable

import pytest

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


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_program_reads_with_these_credentials(
    account: Account, way: Callable[[Account], str]
) -> None:
    handed_out_by = way(account)
    done = account.sync()
    assert done.code == 0, done.stderr
    assert account.ways() == {handed_out_by}
    assert {call.operation for call in account.rig.calls} > {"Scan", "GetRecords"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_role_is_assumed_over_these_credentials(
    account: Account, way: Callable[[Account], str]
) -> None:
    handed_out_by = way(account)
    done = account.sync(
        CONNECTOR_SOURCE__ROLE_ARN=OUTER_ROLE, CONNECTOR_SOURCE__EXTERNAL_ID="ours-7"
    )
    assert done.code == 0, done.stderr
    *_, last = account.logins.asked("AssumeRole")
    assert last.parameters["RoleArn"] == OUTER_ROLE
    assert last.parameters["ExternalId"] == "ours-7"
    assert last.region == "us-west-2"
    signed_with = account.logins.issued.get(last.key)
    assert (signed_with.operation if signed_with else last.key) == handed_out_by
    assert {account.logins.issued[key].role for key in account.keys_used()} == {OUTER_ROLE}
