"""botocore's own ways of logging in, in its own order, with their failures translated."""

import getpass
import multiprocessing
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from botocore.credentials import (
    AssumeRoleProvider,
    CanonicalNameCredentialSourcer,
    CredentialProvider,
    EnvProvider,
    ProfileProviderBuilder,
)
from botocore.utils import JSONFileCache

from connector.errors import SourceRefused, Unreachable
from connector.sources.dynamodb.login.answers import Exchange, passing
from connector.sources.dynamodb.login.credentials import RenewingCredentials
from connector.sources.dynamodb.login.refusal import refusal
from connector.sources.dynamodb.login.ways import Way


def find_credentials(session: Any, way: "partial[Way]") -> RenewingCredentials | None:
    """The first credentials found; `way` lacks method and profile."""
    resolver = session.get_component("credential_provider")
    name = way.keywords["files"].name
    translated = {
        each.METHOD: _Translated(each, way(each.METHOD, name))
        for each in resolver.providers
        if each.METHOD != AssumeRoleProvider.METHOD
    }
    metadata = translated["iam-role"]
    metadata.listen(session)
    # An explicit profile removes the variables from the chain, yet the profile may refer to them.
    variables = translated.get("env") or _Translated(EnvProvider(), way("env", name))
    role = AssumeRoleProvider(
        load_config=lambda: session.full_config,
        client_creator=session.create_client,
        cache=_sessions(session, name),
        profile_name=name,
        prompter=partial(ask, name),
        credential_sourcer=CanonicalNameCredentialSourcer(
            [variables, translated["container-role"], metadata]
        ),
        profile_provider_builder=_TranslatedProfiles(session, way),
    )
    translated[role.METHOD] = _Translated(role, way(role.METHOD, name))
    found = (translated[each.METHOD].load() for each in resolver.providers)
    return next((each for each in found if each is not None), None)


class _Translated(CredentialProvider):  # type: ignore[misc, unused-ignore]
    """A botocore provider that translates its failures, and those of its credentials."""

    def __init__(self, provider: Any, way: Way) -> None:
        super().__init__()
        self.METHOD = provider.METHOD
        self.CANONICAL_NAME = provider.CANONICAL_NAME
        self._provider = provider
        self._way = way
        self._has_to_answer = False

    def load(self) -> RenewingCredentials | None:
        """The credentials, or None if this way is not set up."""
        try:
            found = self._provider.load()
        except Exception as error:
            # Without a cause, which may contain what a process printed.
            raise refusal(self._way, error) from None
        if found is None and self._has_to_answer:
            self._object(self._way.exchange)
        return None if found is None else RenewingCredentials(found, self._way, refusal)

    def listen(self, session: Any) -> None:
        """Records the HTTP statuses of the instance metadata service, which botocore hides."""
        fetcher = self._provider._role_fetcher
        fetcher._session = _RecordingHttp(fetcher._session, self._way.exchange)
        self._has_to_answer = True
        self._named = bool(session.get_config_variable("ec2_metadata_service_endpoint"))
        self._disabled = fetcher._disabled

    def _object(self, exchange: Exchange) -> None:
        """Raises Unreachable if the service exists, or should exist, but gave no answer."""
        if self._disabled:
            return
        if passing(exchange.metadata_status):
            said = f"answered with {exchange.metadata_status}"
        elif self._named and exchange.metadata_status == 0:
            said = "at AWS_EC2_METADATA_SERVICE_ENDPOINT did not answer"
        else:
            return
        raise Unreachable(
            f"The instance metadata service {said}.",
            "Run the same command again; AWS_METADATA_SERVICE_NUM_ATTEMPTS sets the number of "
            "attempts.",
        )


class _RecordingHttp:
    """A botocore HTTP session that remembers the most informative status."""

    def __init__(self, session: Any, exchange: Exchange) -> None:
        self._session = session
        self._exchange = exchange

    def send(self, request: Any) -> Any:
        """Sends a request and returns the answer."""
        # Each retrieval starts by requesting a token, and continues without one if necessary.
        if request.method == "PUT":
            self._exchange.metadata_status = 0
        response = self._session.send(request)
        if not passing(self._exchange.metadata_status):
            self._exchange.metadata_status = response.status_code
        return response


class _TranslatedProfiles(ProfileProviderBuilder):  # type: ignore[misc, unused-ignore]
    """The translated providers of a source profile."""

    def __init__(self, session: Any, way: "partial[Way]") -> None:
        super().__init__(session, cache={})
        self._way = way

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        """Every provider, for one profile."""
        made = super().providers(profile_name, disable_env_vars)
        return [_Translated(each, self._way(each.METHOD, profile_name)) for each in made]


class _SharedSessions(JSONFileCache):  # type: ignore[misc, unused-ignore]
    """The AWS CLI's cache of role sessions, since an MFA code can start only one session."""

    def __setitem__(self, key: str, value: Any) -> None:
        # If nothing can be stored, the next process asks for another code.
        with suppress(OSError):
            super().__setitem__(key, value)


def _sessions(session: Any, profile: str) -> Any:
    """The cache of role sessions: in memory, unless one needs an MFA code."""
    profiles = session.full_config.get("profiles", {})
    seen: list[str] = []
    while profile in profiles and profile not in seen:
        if "mfa_serial" in profiles[profile]:
            # The processes of a scan need the session, too, and cannot ask for a code themselves.
            with suppress(RuntimeError):
                return _SharedSessions(str(Path("~/.aws/cli/cache").expanduser()))
        seen.append(profile)
        profile = profiles[profile].get("source_profile", "")
    return {}


def ask(profile: str, prompt: str) -> str:
    """An MFA code, asked for on the terminal. Raises SourceRefused if there is none."""
    if multiprocessing.parent_process() is not None or not _at_terminal():
        raise SourceRefused(
            f"{prompt.removeprefix('Enter ').rstrip(': ')} is needed, and there is no terminal to "
            "ask for it.",
            f"Run `aws sts get-caller-identity --profile {profile}` first: the connector uses the "
            "session that it stores in ~/.aws/cli/cache until that expires.",
        )
    return getpass.getpass(prompt)


def _at_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True
