"""What cannot work is refused at once, by one sentence that names what to mend, and no secret."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connector.errors import ConnectorError
from tests.cli.program import assert_one_sentence
from tests.pipeline.replica import ORDERS

from .account import INNER_ROLE, OUTER_ROLE, SECRET, STATIC, TOKEN, Account
from .test_ways import (
    KEYS,
    RENEWABLE,
    SESSION,
    ecs_container,
    eks_pod_identity,
    instance_metadata,
    keys,
    keys_with_token,
    role_over_profile,
    sso_session,
    web_identity_by_variables,
)

Preparation = Callable[[Account], object]
CANARIES = (STATIC, SECRET, TOKEN, "canary")


def nothing(account: Account) -> None:
    """An account as it is."""


@dataclass(frozen=True)
class Case:
    """Something that cannot work: what the error must say, and what leads to it."""

    says: tuple[str, ...]
    prepare: Preparation = nothing
    variables: Mapping[str, str] = field(default_factory=dict)
    code: int = 2
    tries: Mapping[str, int] = field(default_factory=dict)
    """How often operations may be asked for; nothing may reach the table."""


def config(text: str, **variables: str) -> Preparation:
    """Writes ~/.aws/config, and asks for the profile `reader` of it."""

    def prepare(account: Account) -> None:
        account.config(text.replace("HOME", str(account.home)))
        account.variables = {"AWS_PROFILE": "reader", **variables}

    return prepare


def raw(name: str, content: bytes, after: Preparation = keys) -> Preparation:
    """Writes a file as these bytes."""

    def prepare(account: Account) -> None:
        account.file(name, "").write_bytes(content)
        after(account)

    return prepare


def then(way: Preparation, change: Preparation) -> Preparation:
    """A way that works, and what breaks it."""

    def prepare(account: Account) -> None:
        way(account)
        change(account)

    return prepare


def refused(operation: str, code: str, message: str = "", status: int = 403) -> Preparation:
    """Lets a service refuse an operation."""
    return lambda account: account.logins.refuse(operation, code, message, status=status)


def answered(operation: str, body: bytes, status: int = 200) -> Preparation:
    """Lets a service answer an operation so."""
    return lambda account: account.logins.reply(operation, body, status=status)


def variables(**changed: str) -> Preparation:
    """Other variables than those of the way."""
    return lambda account: account.variables.update(changed)


def printing(code: str) -> Preparation:
    """A credential_process that runs this code."""

    def prepare(account: Account) -> None:
        command = account.script("print-credentials", code)
        config(f"[profile reader]\ncredential_process = {command}\n")(account)

    return prepare


def process(command: str) -> Preparation:
    """A credential_process that is this command."""
    return config(f"[profile reader]\ncredential_process = {command}\n")


def printed(**answer: object) -> Preparation:
    """A credential_process that prints these credentials."""

    def prepare(account: Account) -> None:
        command = account.process("print-credentials", **answer)
        config(f"[profile reader]\ncredential_process = {command}\n")(account)

    return prepare


def folder(name: str) -> Preparation:
    """A folder where a file should be."""
    return lambda account: (account.home / name).mkdir(parents=True)


def role(lines: str) -> Preparation:
    """A profile with a role, and these lines."""
    return config(f"[profile reader]\nrole_arn = {INNER_ROLE}\n{lines}\n")


def token(name: str, content: str) -> Preparation:
    """Overwrites a token's file."""
    return lambda account: account.file(name, content)


def sso_token(content: str) -> Preparation:
    """Overwrites the SSO token of the session `work`."""

    def prepare(account: Account) -> None:
        account.sso_token("work", "x", 1).write_text(content)

    return prepare


WRONG_REGIONS = {
    "us-west-2 ": "us-west-2",
    " us-west-2": "us-west-2",
    "us_west_2": "us-west-2",
    "US-WEST-2": "us-west-2",
    "us-west-2a": "availability zone",
    "us-west-2-lax-1a": "availability zone",
    "usw2-az1": "availability zone",
    "'us-west-2'": "us-west-2",
    "us west 2": "us-west-2",
    "us-west-2\n": "us-west-2",
    "https://us-west-2": "Region",
    "ü-west-2": "Region",
    " ": "Region",
}

CASES = {
    # What signs a request.
    **{
        f"{name} {kind}": Case((name, says), keys_with_token, {name: value})
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        for kind, value, says in (
            ("ends in a line break", "canary\n", "line break"),
            ("ends in a space", "canary ", "space"),
            ("begins with a tab", "\tcanary", "begins with"),
            ("holds a line break", "can\r\nary", "contains"),
            ("is not ASCII", "canäry", "contains"),
        )
    },
    "a key without its secret": Case(
        ("AWS_SECRET_ACCESS_KEY is not",), keys, {"AWS_SECRET_ACCESS_KEY": ""}
    ),
    "a secret without its key": Case(("AWS_ACCESS_KEY_ID",), keys, {"AWS_ACCESS_KEY_ID": ""}),
    "a secret key missing in a profile": Case(
        ("aws_secret_access_key", "reader", ".aws/config"),
        config(f"[profile reader]\naws_access_key_id = {STATIC}\n"),
    ),
    "a token of two lines in a profile": Case(
        ("aws_session_token", "reader"),
        config(f"[profile reader]\n{KEYS}aws_session_token = canary\n  more\n"),
    ),
    "an empty key in a profile": Case(
        ("aws_access_key_id", "empty"),
        config(f"[profile reader]\naws_access_key_id =\naws_secret_access_key = {SECRET}\n"),
    ),
    "AWS_CREDENTIAL_EXPIRATION past": Case(
        ("expired",), keys_with_token, {"AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}
    ),
    "AWS_CREDENTIAL_EXPIRATION no time": Case(
        ("AWS_CREDENTIAL_EXPIRATION",),
        keys_with_token,
        {"AWS_CREDENTIAL_EXPIRATION": "tomorrow-ish"},
    ),
    "AWS_CREDENTIAL_EXPIRATION without a zone": Case(
        ("AWS_CREDENTIAL_EXPIRATION",),
        keys_with_token,
        {"AWS_CREDENTIAL_EXPIRATION": "2999-01-01T00:00"},
    ),
    "no credentials": Case(("no credentials",)),
    "no credentials, and a file that is not there": Case(
        ("no credentials", "AWS_CONFIG_FILE names /no/such/file"),
        variables={"AWS_CONFIG_FILE": "/no/such/file"},
    ),
    # Profiles and files.
    "a profile that is not there": Case(
        ("AWS_PROFILE", "nobody", ".aws/config"),
        config("[profile reader]\n"),
        {"AWS_PROFILE": "nobody"},
    ),
    "a profile that is nearly there": Case(
        ("source.profile", "raeder", "Did you mean reader?"),
        config("[profile reader]\n"),
        {"CONNECTOR_SOURCE__PROFILE": "raeder"},
    ),
    "a profile without the word profile": Case(
        ("[profile reader]",), config("[reader]\nregion = us-west-2\n")
    ),
    "a profile without credentials": Case(
        ("AWS_PROFILE: the profile reader gives no credentials", "or name another profile"),
        config("[profile reader]\nregion = us-west-2\n"),
    ),
    "a byte order mark": Case(
        (".aws/config", "byte order mark"), raw(".aws/config", b"\xef\xbb\xbf[default]\n")
    ),
    "a byte order mark in credentials": Case(
        (".aws/credentials", "byte order mark"),
        raw(".aws/credentials", b"\xef\xbb\xbf[default]\n"),
    ),
    "a byte order mark of UTF-16": Case(
        ("byte order mark", "UTF-16"), raw(".aws/config", "[default]\n".encode("utf-16"))
    ),
    "a key twice": Case(
        ("region", "default", "line 3"), raw(".aws/config", b"[default]\nregion=a\nregion=b\n")
    ),
    "a section twice": Case(
        ("[reader]", "line 3"), raw(".aws/credentials", b"[reader]\nregion=a\n[reader]\n")
    ),
    "no section": Case(
        ("line 1", "section"),
        raw(".aws/credentials", b"aws_secret_access_key = canary\n"),
    ),
    "a line without =": Case(("line 2",), raw(".aws/config", b"[default]\ncanary\n")),
    "Latin-1": Case(("line 2", "UTF-8"), raw(".aws/config", b"[default]\nx = \xe4canary\n")),
    "a value on the next line": Case(
        ("indented",), raw(".aws/config", b"[default]\nregion =\n  us-west-2\n")
    ),
    "a file by variable": Case(
        ("AWS_CONFIG_FILE", "section"),
        raw("etc/config", b"canary = 1\n", keys),
        {"AWS_CONFIG_FILE": "etc/config"},
    ),
    **{
        f"lines below {key}": Case(
            (key, "reader", ".aws/config", "instead of a value"),
            config(f"[profile reader]\n{key} =\n  a = canary\n"),
        )
        for key in ("role_arn", "credential_process", "services", "sso_account_id", "mfa_serial")
    },
    "a folder for a file": Case(
        ("AWS_CONFIG_FILE", "folder"), then(keys, folder("etc")), {"AWS_CONFIG_FILE": "etc"}
    ),
    "a folder for the credentials": Case(
        ("AWS_SHARED_CREDENTIALS_FILE", "folder"),
        then(keys, folder("etc")),
        {"AWS_SHARED_CREDENTIALS_FILE": "etc"},
    ),
    "a folder where the profile should be": Case(
        (".aws/config", "folder"), folder(".aws/config"), {"AWS_PROFILE": "reader"}
    ),
    "a folder and no credentials": Case(
        ("no credentials", ".aws/config is a folder"), folder(".aws/config")
    ),
    # Roles.
    "a source profile that is not there": Case(
        ("nobody", "reader", "does not exist"), role("source_profile = nobody")
    ),
    "profiles in a circle": Case(
        ("circle", "reader", "other"),
        role(
            f"source_profile = other\n[profile other]\nrole_arn = {INNER_ROLE}\n"
            "source_profile = reader"
        ),
    ),
    "a profile that is its own source": Case(("circle", "reader"), role("source_profile = reader")),
    "an unknown credential_source": Case(
        ("Mars", "Environment, EcsContainer or Ec2InstanceMetadata"),
        role("credential_source = Mars"),
    ),
    "a credential_source in small letters": Case(
        ("environment", "exactly this capitalization"), role("credential_source = environment")
    ),
    "a credential_source that has none": Case(
        ("Environment", "no credentials"), role("credential_source = Environment")
    ),
    "a role with two sources": Case(
        ("both",), role("credential_source = Environment\nsource_profile = reader")
    ),
    "a role without a source": Case(("source_profile",), role("")),
    "a source profile without credentials": Case(
        ("other",), role("source_profile = other\n[profile other]\nregion = us-west-2")
    ),
    "MFA without a terminal": Case(
        ("MFA", "arn:aws:iam::123456789012:mfa/me", "aws sts get-caller-identity --profile reader"),
        role(
            "source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
            f"[profile base]\n{KEYS}"
        ),
    ),
    "a role refused": Case(
        (INNER_ROLE, "is not authorized", "trust policy"),
        then(role_over_profile, refused("AssumeRole", "AccessDenied", "User: x is not authorized")),
        tries={"AssumeRole": 1},
    ),
    "keys that STS does not know": Case(
        (INNER_ROLE, "does not know"),
        then(role_over_profile, refused("AssumeRole", "InvalidClientTokenId")),
        tries={"AssumeRole": 1},
    ),
    "expired credentials under a role": Case(
        (INNER_ROLE, "expired"),
        then(role_over_profile, refused("AssumeRole", "ExpiredToken")),
        tries={"AssumeRole": 1},
    ),
    "a clock that is wrong": Case(
        ("clock",),
        then(
            role_over_profile,
            refused(
                "AssumeRole", "SignatureDoesNotMatch", "Signature expired: 1 is earlier than 2"
            ),
        ),
        tries={"AssumeRole": 1},
    ),
    "a Region where STS is off": Case(
        ("not active",), then(role_over_profile, refused("AssumeRole", "RegionDisabledException"))
    ),
    "a value that STS does not accept": Case(
        ("externalId",),
        then(
            role_over_profile,
            refused(
                "AssumeRole",
                "ValidationError",
                "1 validation error detected: Value 'canary' at 'externalId' failed to satisfy",
                400,
            ),
        ),
        tries={"AssumeRole": 1},
    ),
    "source.role_arn without credentials": Case(
        ("source.role_arn", "needs credentials"),
        variables={"CONNECTOR_SOURCE__ROLE_ARN": OUTER_ROLE},
    ),
    "source.role_arn refused": Case(
        (OUTER_ROLE, "external id"),
        then(keys, refused("AssumeRole", "AccessDenied")),
        {"CONNECTOR_SOURCE__ROLE_ARN": OUTER_ROLE},
        tries={"AssumeRole": 1},
    ),
    **{
        f"source.role_arn {kind}": Case(
            ("source.role_arn", "role"), keys, {"CONNECTOR_SOURCE__ROLE_ARN": value}
        )
        for kind, value in {
            "is a name": "reader",
            "is a user": "arn:aws:iam::123456789012:user/reader",
            "is a session": "arn:aws:sts::123456789012:assumed-role/reader/me",
            "has a short account": "arn:aws:iam::12345:role/reader",
            "ends in a space": f"{OUTER_ROLE} ",
        }.items()
    },
    "source.external_id with a space": Case(
        ("source.external_id",),
        keys,
        {"CONNECTOR_SOURCE__ROLE_ARN": OUTER_ROLE, "CONNECTOR_SOURCE__EXTERNAL_ID": "a b"},
    ),
    # credential_process.
    "a process that is missing": Case(
        ("credential_process", "reader", "/no/such/program"), process("/no/such/program --x")
    ),
    "a process that is a folder": Case(("credential_process", "reader"), process("/tmp --x")),
    "a process that is no program": Case(
        ("credential_process", "cannot be run"),
        then(
            lambda account: account.file("script", "no program\n").chmod(0o755),
            process("HOME/script"),
        ),
    ),
    "a process that is not executable": Case(
        ("credential_process", "cannot be run"),
        then(lambda account: account.file("script", "#!/bin/sh\n"), process("HOME/script")),
    ),
    "a process with an open quote": Case(
        ("credential_process", "not a command"), process('/bin/echo "canary')
    ),
    "an empty process": Case(("credential_process", "not a command"), process("")),
    "a process that fails": Case(
        ("credential_process", "ended with an error"),
        printing("import sys; sys.exit('canary: failed')"),
    ),
    "a process that fails in bytes": Case(
        ("credential_process",),
        printing("import sys; sys.stderr.buffer.write(b'\\xff'); sys.exit(3)"),
    ),
    "a process that prints nothing": Case(("credential_process", "JSON"), printing("pass")),
    "a process that prints no JSON": Case(
        ("credential_process", "JSON"), printing("print('canary')")
    ),
    "a process that prints a list": Case(("credential_process", "JSON"), printing("print([1])")),
    "a process that prints null": Case(("credential_process", "JSON"), printing("print('null')")),
    "a process of another version": Case(
        ("credential_process", "Version"), printed(Version="canary")
    ),
    "a process without a key": Case(
        ("credential_process", "SecretAccessKey"),
        printing('print(\'{"Version": 1, "AccessKeyId": "canary"}\')'),
    ),
    "a process whose key is null": Case(
        ("AccessKeyId", "credential_process"), printed(AccessKeyId=None)
    ),
    "a process whose key is a number": Case(("credential_process",), printed(SecretAccessKey=5)),
    "a process whose token ends in a line break": Case(
        ("SessionToken", "line break"), printed(SessionToken="canary\n")
    ),
    "a process with expired credentials": Case(
        ("credential_process", "expired"), printed(Expiration="2020-01-01T00:00:00Z")
    ),
    "a process with a garbled expiration": Case(
        ("credential_process",), printed(Expiration="canary")
    ),
    # AWS SSO.
    "no SSO token": Case(
        ("work", "aws sso login --profile reader"),
        then(sso_session, lambda account: [each.unlink() for each in sso_files(account)]),
    ),
    "an expired SSO token": Case(
        ("work", "expired", "aws sso login --profile reader"),
        then(sso_session, lambda account: account.sso_token("work", "canary", -60)),
    ),
    "an SSO token that SSO does not renew": Case(
        ("work", "expired", "aws sso login --profile reader"),
        then(
            then(sso_session, lambda account: account.sso_token("work", "x", -60, **RENEWABLE)),
            refused("CreateToken", "InvalidGrantException", status=400),
        ),
        tries={"CreateToken": 1},
    ),
    "an SSO token that SSO does not accept": Case(
        ("work", "expired", "aws sso login"),
        then(sso_session, lambda account: account.sso_token("work", "canary", 7200)),
    ),
    "an SSO token of the old style that expired": Case(
        ("expired", "aws sso login --profile reader"),
        then(
            config(
                "[profile reader]\nsso_start_url = https://x/start\nsso_region = eu-west-1\n"
                "sso_account_id = 1\nsso_role_name = R\n"
            ),
            lambda account: account.sso_token("https://x/start", "canary", -60),
        ),
    ),
    **{
        f"an SSO token that is {kind}": Case(
            ("work", "aws sso login --profile reader"), then(sso_session, sso_token(content))
        )
        for kind, content in {
            "garbled": "canary{",
            "a list": "[]",
            "empty": "",
            "without a time": '{"accessToken": "canary"}',
            "of no time": '{"accessToken": "canary", "expiresAt": "soon"}',
            "without a zone": '{"accessToken": "canary", "expiresAt": "2999-01-01T00:00:00"}',
        }.items()
    },
    "an SSO role that is not the user's": Case(
        ("AWS SSO", "GetRoleCredentials", "sso_role_name"),
        then(sso_session, refused("GetRoleCredentials", "ForbiddenException", "No access")),
        tries={"GetRoleCredentials": 1},
    ),
    "no sso_region": Case(("sso_region",), config(SESSION.replace("sso_region = eu-west-1\n", ""))),
    "an sso_session that is not there": Case(
        ("work",), config(SESSION.replace("[sso-session work]", "[sso-session play]"))
    ),
    "an sso_region that is none": Case(
        ("Region",),
        then(sso_session, config(SESSION.replace("eu-west-1", "eu west 1"))),
    ),
    # Other ways.
    "a login_session without its dependency": Case(
        ("login_session", "botocore[crt]"), config("[profile reader]\nlogin_session = me\n")
    ),
    "no web identity token": Case(
        ("eb identity", "/no/such/token"),
        web_identity_by_variables,
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such/token"},
    ),
    "an empty web identity token": Case(
        ("eb identity", "empty"), then(web_identity_by_variables, token("token", ""))
    ),
    "a folder for a web identity token": Case(
        ("eb identity", "directory"),
        web_identity_by_variables,
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/"},
    ),
    "a web identity without a role": Case(
        ("eb identity", "no role", "AWS_ROLE_ARN"), web_identity_by_variables, {"AWS_ROLE_ARN": ""}
    ),
    "a web identity with a short role": Case(
        ("eb identity", "role"), web_identity_by_variables, {"AWS_ROLE_ARN": "reader"}
    ),
    "a web identity refused": Case(
        (INNER_ROLE, "service account"),
        then(web_identity_by_variables, refused("AssumeRoleWithWebIdentity", "AccessDenied")),
        tries={"AssumeRoleWithWebIdentity": 1},
    ),
    "a web identity expired": Case(
        (INNER_ROLE, "expired", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        then(
            web_identity_by_variables,
            refused("AssumeRoleWithWebIdentity", "ExpiredTokenException", status=400),
        ),
        tries={"AssumeRoleWithWebIdentity": 1},
    ),
    "a web identity that nobody knows": Case(
        (INNER_ROLE, "OIDC"),
        then(
            web_identity_by_variables,
            refused("AssumeRoleWithWebIdentity", "InvalidIdentityToken", status=400),
        ),
        tries={"AssumeRoleWithWebIdentity": 1},
    ),
    "a container that is refused": Case(
        ("container", "401"),
        then(ecs_container, variables(AWS_CONTAINER_AUTHORIZATION_TOKEN="canary")),
    ),
    "a container that is not found": Case(
        ("container", "404"), then(ecs_container, answered("Container", b"canary", 404))
    ),
    "a container that talks nonsense": Case(
        ("container", "without credentials"), then(ecs_container, answered("Container", b"canary"))
    ),
    "a container that answers a list": Case(
        ("container", "without credentials"), then(ecs_container, answered("Container", b"[]"))
    ),
    "a container without a token": Case(
        ("container", "Token"),
        then(
            ecs_container,
            answered("Container", b'{"AccessKeyId": "canary", "SecretAccessKey": "canary"}'),
        ),
    ),
    "a container elsewhere": Case(
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
        ecs_container,
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/x"},
    ),
    "a container without a scheme": Case(
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
        ecs_container,
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "localhost:80/x"},
    ),
    "a container without its token's file": Case(
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/no/such/token"),
        eks_pod_identity,
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/no/such/token"},
    ),
    "a container's token with a line break": Case(
        ("authorization token", "line break"), then(eks_pod_identity, token("pod", "canary\n"))
    ),
    "a container's token that is not Latin-1": Case(
        ("authorization token",), then(eks_pod_identity, token("pod", "canary☃"))
    ),
    "an instance without a role": Case(
        ("no credentials",), then(instance_metadata, answered("MetadataRole", b"", 404))
    ),
    "an instance whose role may not be used": Case(
        ("no credentials",),
        then(
            instance_metadata,
            answered("Metadata", b'{"Code": "AssumeRoleUnauthorizedAccess", "Message": "canary"}'),
        ),
    ),
    "a metadata endpoint that is none": Case(
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT",),
        instance_metadata,
        {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "not a url"},
    ),
    "a metadata timeout that is no number": Case(
        ("AWS_METADATA_SERVICE_TIMEOUT",), keys, {"AWS_METADATA_SERVICE_TIMEOUT": "soon"}
    ),
    "a metadata timeout of nothing": Case(
        ("AWS_METADATA_SERVICE_TIMEOUT",), keys, {"AWS_METADATA_SERVICE_TIMEOUT": "0"}
    ),
    "metadata attempts that are no number": Case(
        ("metadata_service_num_attempts", "reader"),
        config(f"[profile reader]\n{KEYS}metadata_service_num_attempts = x\n"),
    ),
    # Regions.
    **{
        f"AWS_REGION={value!r}": Case(("AWS_REGION", says), keys, {"AWS_REGION": value})
        for value, says in WRONG_REGIONS.items()
    },
    "AWS_DEFAULT_REGION": Case(
        ("AWS_DEFAULT_REGION", "us-west-2"),
        keys,
        {"AWS_REGION": "", "AWS_DEFAULT_REGION": "us_west_2"},
    ),
    "source.region": Case(
        ("source.region", "availability zone"), keys, {"CONNECTOR_SOURCE__REGION": "us-west-2a"}
    ),
    "the Region of a profile": Case(
        ("region of the AWS profile reader", "us-west-2"),
        config(f"[profile reader]\n{KEYS}region = us_west_2\n"),
        {"AWS_REGION": ""},
    ),
    "no Region": Case(("no region is set",), keys, {"AWS_REGION": ""}),
    "a Region that AWS cannot have": Case(
        ("no Region oregon",),
        keys,
        {
            "AWS_REGION": "oregon",
            "AWS_ENDPOINT_URL_DYNAMODB": "",
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": "",
        },
    ),
    # Endpoints, certificates, proxies and modes.
    **{
        f"{name}={url!r}": Case((name, "URL"), keys, {name: url})
        for name in (
            "AWS_ENDPOINT_URL_DYNAMODB",
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
            "CONNECTOR_SOURCE__ENDPOINT_URL",
        )
        for url in (
            "localhost:8000",
            "http//localhost",
            "http://localhost:x",
            "http://localhost:99999",
            "http://\u00fc.localhost",
            f"http://{'x' * 64}.localhost",
        )
        if not name.startswith("CONNECTOR")
    },
    "source.endpoint_url": Case(
        ("source.endpoint_url", "URL"), keys, {"CONNECTOR_SOURCE__ENDPOINT_URL": "localhost:8000"}
    ),
    "source.streams_endpoint_url": Case(
        ("source.streams_endpoint_url", "URL"),
        keys,
        {"CONNECTOR_SOURCE__STREAMS_ENDPOINT_URL": "localhost:8000"},
    ),
    "AWS_ENDPOINT_URL": Case(
        ("AWS_ENDPOINT_URL", "URL"),
        keys,
        {"AWS_ENDPOINT_URL_DYNAMODB": "", "AWS_ENDPOINT_URL": "localhost:8000"},
    ),
    "plain http to another machine": Case(
        ("AWS_ENDPOINT_URL_DYNAMODB", "plain http"),
        keys,
        {"AWS_ENDPOINT_URL_DYNAMODB": "http://example.com"},
    ),
    "the endpoint of a profile": Case(
        ("endpoint_url of the AWS profile", "URL"),
        config(f"[profile reader]\n{KEYS}endpoint_url = localhost:8000\n"),
        {"AWS_ENDPOINT_URL_DYNAMODB": ""},
    ),
    "the endpoint of a section of services": Case(
        ("[services ours]", "URL"),
        config(
            f"[profile reader]\n{KEYS}services = ours\n"
            "[services ours]\ndynamodb =\n  endpoint_url = localhost:8000\n"
        ),
        {"AWS_ENDPOINT_URL_DYNAMODB": ""},
    ),
    "a section of services that is not there": Case(
        ("ours",),
        config(f"[profile reader]\n{KEYS}services = ours\n"),
        {"AWS_ENDPOINT_URL_DYNAMODB": ""},
    ),
    "AWS_ENDPOINT_URL_STS": Case(
        ("AWS_ENDPOINT_URL_STS", "URL"),
        role_over_profile,
        {"AWS_ENDPOINT_URL_STS": "localhost:8000"},
    ),
    "plain http to STS elsewhere": Case(
        ("AWS_ENDPOINT_URL_STS", "plain http"),
        role_over_profile,
        {"AWS_ENDPOINT_URL_STS": "http://example.com"},
    ),
    "AWS_CA_BUNDLE that is not there": Case(
        ("AWS_CA_BUNDLE", "/no/such/file"), keys, {"AWS_CA_BUNDLE": "/no/such/file"}
    ),
    "REQUESTS_CA_BUNDLE that is not there": Case(
        ("REQUESTS_CA_BUNDLE", "/no/such/file"), keys, {"REQUESTS_CA_BUNDLE": "/no/such/file"}
    ),
    "AWS_CA_BUNDLE without certificates": Case(
        ("AWS_CA_BUNDLE", "no certificates"),
        then(keys, token("bundle", "canary")),
        {"AWS_CA_BUNDLE": "bundle"},
    ),
    "AWS_CA_BUNDLE that is a folder": Case(("AWS_CA_BUNDLE",), keys, {"AWS_CA_BUNDLE": "/tmp"}),
    "ca_bundle of a profile": Case(
        ("ca_bundle of the AWS profile reader",),
        config(f"[profile reader]\n{KEYS}ca_bundle = /no/such/file\n"),
    ),
    **{
        f"HTTP_PROXY={value!r}": Case(
            ("HTTP_PROXY",), keys, {"HTTP_PROXY": value, "http_proxy": value}
        )
        for value in ("http://proxy:port", "socks5://127.0.0.1:1", "http://[::1", "http://")
    },
    "AWS_DEFAULTS_MODE": Case(("fast", "AWS_DEFAULTS_MODE"), keys, {"AWS_DEFAULTS_MODE": "fast"}),
    **{
        name: Case((name,), keys, {name: "maybe"})
        for name in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
    },
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": Case(
        ("account_id_endpoint_mode",), keys, {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "maybe"}
    ),
}


def sso_files(account: Account) -> Iterator[Path]:
    """The tokens of SSO."""
    return (account.home / ".aws/sso/cache").glob("*.json")


def assert_no_secret(text: str) -> None:
    """None of the canaries is in a text, and it does not blame a bug."""
    for canary in (*CANARIES, "unexpected"):
        assert canary not in text


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_at_once(
    account: Account, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.prepare(account)
    # As where awscrt is not installed.
    monkeypatch.setattr("botocore.credentials.EC", None)
    with pytest.raises(ConnectorError) as caught:
        account.source(monkeypatch, **case.variables).describe()
    problem = caught.value
    for words in case.says:
        assert words in str(problem)
    assert problem.hint
    assert problem.exit_code == case.code
    assert_no_secret("".join(traceback.format_exception(problem)))
    assert len(account.rig.calls) == 0
    for operation, times in case.tries.items():
        assert len(account.logins.asked(operation)) == times


BY_THE_PROGRAM = [
    "AWS_SESSION_TOKEN ends in a line break",
    "MFA without a terminal",
    "a process that fails",
    "an expired SSO token",
    "profiles in a circle",
    "AWS_REGION='us_west_2'",
]


@pytest.mark.parametrize("name", BY_THE_PROGRAM)
def test_the_program_refuses_it_in_one_sentence(account: Account, name: str) -> None:
    case = CASES[name]
    case.prepare(account)
    done = account.run("sync", ORDERS, **case.variables)
    assert_one_sentence(done, case.code, "")
    for words in case.says:
        assert words in done.stderr
    assert_no_secret(done.stderr)
    assert len(account.rig.calls) == 0


@pytest.mark.by_turns("command", at_once=2)
@pytest.mark.parametrize("command", ["check", "snapshot", "tail", "verify"])
def test_every_command_refuses_in_the_same_words(account: Account, command: str) -> None:
    account.variables = {"AWS_ACCESS_KEY_ID": STATIC, "AWS_SECRET_ACCESS_KEY": SECRET}
    done = account.sync()
    assert done.code == 0, done.stderr
    broken = account.run(command, ORDERS, AWS_SESSION_TOKEN="canary\n")
    assert broken.code == 2
    assert "AWS_SESSION_TOKEN ends with a line break." in broken.stderr + broken.stdout
    assert_no_secret(broken.stderr + broken.stdout)
