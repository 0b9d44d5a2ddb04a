"""A log-in for one source: its Region, and credentials by whichever way botocore finds first."""

import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.loaders import Loader

from connector.config.model import Source
from connector.config.urls import check_endpoint
from connector.errors import ConfigError, ConnectorError, SourceRefused
from connector.sources.dynamodb.login.answers import Heard
from connector.sources.dynamodb.login.chain import find
from connector.sources.dynamodb.login.credentials import Renewed
from connector.sources.dynamodb.login.files import AwsFiles
from connector.sources.dynamodb.login.refusal import refusal
from connector.sources.dynamodb.login.surroundings import (
    LOGIN_SERVICES,
    check_endpoints,
    check_settings,
    region,
)
from connector.sources.dynamodb.login.ways import HOST, ROLE, SETTINGS, Way

# Botocore's descriptions of services, looked for and read once: it takes most of the time of making
# a client, and a session would do it anew. Botocore's own clients of one session share theirs, too.
_loader = Loader()


@dataclass(frozen=True)
class Login:
    """A session of botocore's with its Region, and with credentials that renew themselves."""

    session: Any
    region: str
    settings: Way

    def refusal(self, error: Exception) -> ConnectorError:
        """The project's error for whatever keeps a client from being made."""
        return refusal(self.settings, error)


def log_in(source: Source, credentials: Any = None) -> Login:
    """Finds Region and credentials; whoever gives the latter is asked when they are first used.

    `credentials` of a session that a host program has opened replace those of `source`. Raises
    SourceRefused for what cannot work, Unreachable where a later try may.
    """
    quiet_loggers()
    # The host's credentials are of no profile.
    profile = source.profile if credentials is None else None
    session = botocore.session.Session(profile=profile)
    files = AwsFiles.of(session, profile)
    way = partial(Way, files=files, heard=Heard(), session=session)
    settings = way(SETTINGS, files.name)
    try:
        files.check()
        # Both files are read here: botocore keeps what it read before it failed, and goes on.
        session.get_scoped_config()
        check_settings(session, files)
        if session.get_config_variable("data_path") is None:
            session.register_component("data_loader", _loader)
        where = region(source, session, files)
        session.set_config_variable("region", where)
        _rule(session, source)
        settings.heard.listen(session)
        if credentials is None:
            found = _found(source, session, way)
        else:
            found = Renewed(credentials, way(HOST, files.name), refusal)
    except Exception as error:
        # Without its cause: what a process printed, or a line of a file, may be in it.
        raise refusal(settings, error) from None
    session.register_component("credential_provider", CredentialResolver([_Fixed(found)]))
    return Login(session, where, settings)


def _found(source: Source, session: Any, way: partial[Way]) -> Renewed:
    found = find(session, way)
    if found is None:
        raise _nothing(source, way.keywords["files"])
    if not source.role_arn:
        return found
    # Credentials of a role expire within hours; a scan may take longer, so they renew themselves.
    extra = {"RoleSessionName": "connector"}
    if source.external_id:
        extra["ExternalId"] = source.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=session.create_client,
        source_credentials=found,
        role_arn=source.role_arn,
        extra_args=extra,
    )
    role = DeferredRefreshableCredentials(
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    return Renewed(role, way(ROLE, ""), refusal)


def _nothing(source: Source, files: AwsFiles) -> SourceRefused:
    hint = (
        "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine, the "
        "task or the pod a role."
    )
    if source.role_arn:
        problem = "source.role_arn needs credentials to assume the role with, and there are none."
    elif files.profile:
        problem = f"{files.asked_by}: the profile {files.profile} gives no credentials."
        hint = (
            "Give it keys, a complete sso_session, a credential_process, or a role_arn with its "
            "source_profile, or name another profile."
        )
    elif os.environ.get("AWS_SECRET_ACCESS_KEY"):
        problem = "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not."
    else:
        problem = "AWS cannot be called: there are no credentials."
    return SourceRefused(problem, hint + files.notes())


def _rule(session: Any, source: Source) -> None:
    """Lets every client that a way of logging in makes keep the rules of the source's."""
    # Retries are ours (see calls.py): they know a deadline.
    session.set_default_client_config(
        Config(
            connect_timeout=source.connect_timeout,
            read_timeout=source.read_timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )

    def encrypted(params: dict[str, Any], **_: Any) -> None:
        # What is answered here are credentials.
        scheme, _slashes, rest = str(params["url"]).partition("://")
        try:
            check_endpoint(f"{scheme}://{rest.partition('/')[0]}", allow_http=source.allow_http)
        except ConfigError:
            check_endpoints(session, LOGIN_SERVICES, source.allow_http)
            raise

    for service in ("sts", "sso", "sso-oidc", "signin"):
        session.register(f"before-call.{service}", encrypted)


class _Fixed(CredentialProvider):  # type: ignore[misc, unused-ignore]
    """A credential provider that always has the same, self-renewing credentials."""

    METHOD = "connector-fixed"
    CANONICAL_NAME = None

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        """The credentials."""
        return self._credentials


def quiet_loggers() -> None:
    """Keeps session tokens, items and what a process printed out of the log of a host program."""
    for name in ("botocore", "boto3", "urllib3"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)
    for name in ("botocore.credentials", "botocore.tokens"):
        # They log each failure with its traceback; it is raised as well, in our own words.
        logging.getLogger(name).setLevel(logging.CRITICAL)
