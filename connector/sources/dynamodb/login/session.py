"""A log-in for one source: its Region, and the first credentials that botocore finds."""

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

from connector.config.model import SourceConfig
from connector.config.urls import check_endpoint
from connector.errors import ConfigError, ConnectorError, SourceRefused
from connector.sources.dynamodb.login.answers import Exchange
from connector.sources.dynamodb.login.chain import find_credentials
from connector.sources.dynamodb.login.credentials import RenewingCredentials
from connector.sources.dynamodb.login.files import AwsFiles
from connector.sources.dynamodb.login.refusal import refusal
from connector.sources.dynamodb.login.surroundings import (
    LOGIN_SERVICES,
    check_endpoints,
    check_settings,
    region,
)
from connector.sources.dynamodb.login.ways import HOST, ROLE, SETTINGS, Way

# botocore's descriptions of services, found and read once: this takes most of the time of creating
# a client, and each session would repeat it. The clients of one session share a loader, too.
_loader = Loader()


@dataclass(frozen=True)
class Login:
    """A botocore session with a Region, and with credentials that renew themselves."""

    session: Any
    region: str
    settings: Way

    def refusal(self, error: Exception) -> ConnectorError:
        """Our error for an exception while a client is created."""
        return refusal(self.settings, error)


def log_in(source: SourceConfig, credentials: Any = None) -> Login:
    """Finds the Region and the way to get credentials, which are fetched when first used.

    `credentials` from a session that a host program has opened replace those of `source`. Raises
    SourceRefused for what cannot work, and Unreachable if a later try may.
    """
    quiet_loggers()
    # The host's credentials do not belong to a profile.
    profile = source.profile if credentials is None else None
    session = botocore.session.Session(profile=profile)
    files = AwsFiles.of(session, profile)
    way = partial(Way, files=files, exchange=Exchange(), session=session)
    settings = way(SETTINGS, files.name)
    try:
        files.check()
        # Both files are read here, since botocore would use what it read before an error.
        session.get_scoped_config()
        check_settings(session, files)
        if session.get_config_variable("data_path") is None:
            session.register_component("data_loader", _loader)
        where = region(source, session, files)
        session.set_config_variable("region", where)
        _rule(session, source)
        settings.exchange.listen(session)
        if credentials is None:
            found = _found(source, session, way)
        else:
            found = RenewingCredentials(credentials, way(HOST, files.name), refusal)
    except Exception as error:
        # Without a cause, which may contain what a process printed, or a line of a file.
        raise refusal(settings, error) from None
    session.register_component("credential_provider", CredentialResolver([_Fixed(found)]))
    return Login(session, where, settings)


def _found(source: SourceConfig, session: Any, way: partial[Way]) -> RenewingCredentials:
    found = find_credentials(session, way)
    if found is None:
        raise _nothing(source, way.keywords["files"])
    if not source.role_arn:
        return found
    # A role's credentials expire within hours. A scan may take longer, so they renew themselves.
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
    return RenewingCredentials(role, way(ROLE, ""), refusal)


def _nothing(source: SourceConfig, files: AwsFiles) -> SourceRefused:
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


def _rule(session: Any, source: SourceConfig) -> None:
    """Applies the rules of the source's clients to every client that is used to log in."""
    # Retries are done in calls.py, which has a deadline.
    session.set_default_client_config(
        Config(
            connect_timeout=source.connect_timeout,
            read_timeout=source.read_timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )

    def encrypted(params: dict[str, Any], **_: Any) -> None:
        # The answers here contain credentials.
        scheme, _slashes, rest = str(params["url"]).partition("://")
        try:
            check_endpoint(f"{scheme}://{rest.partition('/')[0]}", allow_http=source.allow_http)
        except ConfigError:
            check_endpoints(session, LOGIN_SERVICES, source.allow_http)
            raise

    for service in ("sts", "sso", "sso-oidc", "signin"):
        session.register(f"before-call.{service}", encrypted)


class _Fixed(CredentialProvider):  # type: ignore[misc, unused-ignore]
    """A credential provider that always returns the same, self-renewing credentials."""

    METHOD = "connector-fixed"
    CANONICAL_NAME = None

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        """The credentials."""
        return self._credentials


TALKATIVE = ("botocore", "boto3", "urllib3")
"""Loggers that show requests and answers at their most talkative."""


def quiet_loggers() -> None:
    """Keeps session tokens, items and the output of processes out of a host program's log."""
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)
    for name in ("botocore.credentials", "botocore.tokens"):
        # They log each failure with a traceback; we raise the failure anyway, translated.
        logging.getLogger(name).setLevel(logging.CRITICAL)
