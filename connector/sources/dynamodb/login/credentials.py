"""Credentials that renew themselves in time, and are checked before they sign anything."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.credentials import Credentials, ReadOnlyCredentials

from connector.errors import ConnectorError, SourceRefused, Transient
from connector.sources.dynamodb.login.ways import Way

log = logging.getLogger("connector.sources.dynamodb")

RENEW_SECONDS = 60.0
"""How long valid credentials are used before botocore is asked again.

botocore requests new ones at each call once the old ones expire within 15 minutes, and some issuers
return the same ones until they expire.
"""
LAST_SECONDS = 2.0
"""Credentials that expire sooner are no longer used for signing."""


class RenewingCredentials(Credentials):  # type: ignore[misc, unused-ignore]
    """Credentials for any number of threads: one renews them, and the others wait."""

    def __init__(
        self, credentials: Any, way: Way, refusal: Callable[[Way, Exception], Any]
    ) -> None:
        self.method = credentials.method
        self._credentials = credentials
        self._way = way
        self._refusal = refusal
        self._lock = threading.Lock()
        self._frozen: ReadOnlyCredentials | None = None
        self._ask_again_at = 0.0

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Credentials to sign with now.

        Raises SourceRefused if there are none, and a Transient error if a later try may help.
        """
        with self._lock:
            if self._frozen is None or self._ending() or time.monotonic() >= self._ask_again_at:
                self._frozen = self._asked()
                self._ask_again_at = time.monotonic() + RENEW_SECONDS
            return self._frozen

    def _asked(self) -> ReadOnlyCredentials:
        try:
            frozen: ReadOnlyCredentials = self._credentials.get_frozen_credentials()
        except Exception as error:
            problem: ConnectorError = self._refusal(self._way, error)
            if self._frozen and isinstance(problem, Transient) and not self._ending():
                log.warning("Credentials were not renewed, but are still valid: %s", problem)
                return self._frozen
            # Without a cause, which may contain what a process printed.
            raise problem from None
        _check(frozen, self._way)
        return frozen

    def _ending(self) -> bool:
        needed = getattr(self._credentials, "refresh_needed", None)
        return needed is not None and bool(needed(LAST_SECONDS))

    # What botocore reads in addition to the frozen credentials.

    @property
    def access_key(self) -> str | None:  # type: ignore[override]
        """The access key id to sign with now."""
        return self.get_frozen_credentials().access_key

    @property
    def secret_key(self) -> str | None:  # type: ignore[override]
        """The secret key to sign with now."""
        return self.get_frozen_credentials().secret_key

    @property
    def token(self) -> str | None:  # type: ignore[override]
        """The session token to sign with now, if the credentials are temporary."""
        return self.get_frozen_credentials().token

    @property
    def account_id(self) -> str | None:
        """The account, if known."""
        return self.get_frozen_credentials().account_id


def _check(frozen: ReadOnlyCredentials, way: Way) -> None:
    for index, value in enumerate((frozen.access_key, frozen.secret_key, frozen.token)):
        problem = None if value is None and index == 2 else _flaw(value)
        if problem:
            place = "" if way.method == "env" else f"{way.subject}: "
            raise SourceRefused(
                f"{place}{way.part(index)} {problem}.",
                "Copy it again, without quotes, spaces and line breaks.",
            )
    if not isinstance(frozen.account_id, str | None):
        raise SourceRefused(
            f"{way.subject}: the account id is not text.", "Write its 12 digits as text."
        )


def _flaw(value: object) -> str | None:
    """Why a part of credentials cannot be sent in an HTTP header, without quoting it."""
    if not isinstance(value, str) or not value:
        return "is empty" if value in ("", None) else "is not text"
    if value != value.strip():
        ends = value[-1:].isspace()
        edge = value[-1] if ends else value[0]
        kind = "a line break" if edge in "\r\n" else "a space"
        return f"{'ends' if ends else 'begins'} with {kind}"
    if not value.isascii() or not value.isprintable():
        return "contains a character that is not printable ASCII"
    return None
