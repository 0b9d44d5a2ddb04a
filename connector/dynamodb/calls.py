"""One call to AWS: retried while that helps, and every failure in the project's own words."""

import logging
import math
import random
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from botocore import exceptions as aws
from botocore.exceptions import ClientError

from connector.errors import BadAnswer, ConnectorError, SourceRefused, Throttled, Unreachable
from connector.waits import Waits

log = logging.getLogger("connector.dynamodb")

Answer = TypeVar("Answer")

THROTTLES = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "Throttling",
    )
)
_DENIED = frozenset(
    (
        "AccessDeniedException",
        "AccessDenied",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
        "NotAuthorized",
    )
)
_EXPIRED_CREDENTIALS = frozenset(("ExpiredTokenException", "ExpiredToken", "RequestExpired"))
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
    aws.ProfileNotFound,
    aws.NoRegionError,
)
_NETWORK = (
    aws.HTTPClientError,
    aws.ConnectionError,
    aws.ResponseStreamingError,
    aws.IncompleteReadError,
)

FIRST_DELAY = 0.05
LONGEST_DELAY = 20.0
FIRST_CONTACT_SECONDS = 10.0
CREDENTIAL_TRIES = 3
JUMP = 2.0


class Clock:
    """The source's time, from the Date header of its answers; between answers, monotonic."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def hear(self, date: str | None) -> None:
        """Takes an answer's Date header."""
        if date:
            try:
                then = parsedate_to_datetime(date)
            except ValueError:
                return
            offset = then.timestamp() - time.monotonic()
            # The header is cut to the second, so the largest offset is the nearest to the truth;
            # one that is far off means that the source's clock was set.
            if self._offset is None or not -JUMP <= offset - self._offset <= 0:
                self._offset = offset

    def now(self) -> datetime:
        """The source's time now; before its first answer, this machine's."""
        if self._offset is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)


@dataclass
class Caller:
    """Calls operations until they answer, an error is final, or `retry_seconds` have passed."""

    retry_seconds: float
    clock: Clock
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    met: bool = False
    waits: Waits = field(default_factory=Waits)

    def __call__(
        self, operation: Callable[..., Any], check: Callable[[Any], Answer], **parameters: Any
    ) -> Answer:
        """The checked answer. `check` raises BadAnswer where a 200 has a wrong body."""
        deadline = self.monotonic() + self._patience()
        attempt = 0
        wait = self.waits.begin()
        while True:
            try:
                return self._once(operation, check, parameters)
            except (ClientError, ConnectorError, aws.BotoCoreError) as error:
                problem = translate(error, attempt)
                if not isinstance(problem, (Throttled, Unreachable, BadAnswer)):
                    raise problem from error
                delay = random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
                left = deadline - self.monotonic()
                if delay > left:
                    raise problem from error
                wait.goes_on(_awaited(problem, error), left, delay)
                log.debug("retrying after %s", type(error).__name__)
                self.sleep(delay)
                attempt += 1

    def _patience(self) -> float:
        # A source that never answered is more likely a wrong address than a bad moment.
        return self.retry_seconds if self.met else min(self.retry_seconds, FIRST_CONTACT_SECONDS)

    def _once(
        self,
        operation: Callable[..., Any],
        check: Callable[[Any], Answer],
        parameters: dict[str, Any],
    ) -> Answer:
        answer = operation(**parameters)
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.clock.hear(headers.get("date"))
        self.met = True
        return check(answer)


def _awaited(problem: ConnectorError, error: Exception) -> str:
    """What is waited for if an error may pass."""
    if isinstance(problem, Throttled) and isinstance(error, ClientError):
        return f"DynamoDB, which throttles {error.operation_name}"
    return f"an answer that can be used ({problem.message.rstrip('.')})"


def translate(error: Exception, attempt: int = 0) -> Exception:
    """The project's error for a foreign one; unknown ones are returned as they are."""
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, ClientError):
        return _of_client_error(error, attempt)
    if isinstance(error, aws.NoRegionError):
        return SourceRefused(
            "AWS cannot be called: no region is set.", "Set AWS_REGION or `source.region`."
        )
    if isinstance(error, _NO_CREDENTIALS):
        return SourceRefused(
            f"AWS cannot be called: {_sentence(error)}",
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION.",
        )
    if isinstance(error, _NETWORK):
        return Unreachable(
            f"DynamoDB did not answer: {_sentence(error)}",
            "Check the network and source.endpoint_url, then run the same command again.",
        )
    return error


def _of_client_error(error: ClientError, attempt: int) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    operation = error.operation_name
    if code in THROTTLES:
        reasons: Any = error.response.get("ThrottlingReasons") or []
        reason = ", ".join(str(each.get("reason")) for each in reasons) or code
        return Throttled(
            f"DynamoDB kept throttling {operation} ({reason}).",
            "Nothing is lost: run the same command later, or set source.max_read_units lower.",
        )
    # An error without DynamoDB's own code is a proxy's, or was damaged on its way.
    if status >= 500 or code.isdecimal():
        return Unreachable(f"DynamoDB answered {operation} with {status} {code}.", "Try again.")
    if code in _EXPIRED_CREDENTIALS and attempt < CREDENTIAL_TRIES:
        return Unreachable(f"The credentials for {operation} have expired.", "Renew them.")
    if code in _DENIED or code in _EXPIRED_CREDENTIALS:
        return SourceRefused(
            f"AWS refused {operation}: {code}.",
            "Check the credentials, and grant this action to them; docs/operations.md has the "
            "policy.",
        )
    return error


def _sentence(error: Exception) -> str:
    text = str(error).strip()
    return text if text.endswith(".") else f"{text}."


def body(answer: dict[str, Any]) -> bytes:
    """The bytes of a raw answer. Raises BadAnswer where its checksum is not the header's."""
    content: bytes = answer["Body"]
    expected = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("x-amz-crc32")
    if expected is not None and expected.isdecimal() and zlib.crc32(content) != int(expected):
        raise BadAnswer("An answer of DynamoDB was damaged on its way.", "Try again.")
    return content


def member(name: str) -> Callable[[dict[str, Any]], Any]:
    """A check that an answer has the member it must have."""

    def check(answer: dict[str, Any]) -> Any:
        if answer.get(name) is None:
            raise BadAnswer(f"An answer of DynamoDB lacks {name}.", "Try again.")
        return answer[name]

    return check


def error_code(error: Exception) -> str:
    """The AWS code of a client error, or nothing."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


class Spending:
    """What several readers have spent together: when all of it is paid for."""

    def __init__(self) -> None:
        self.free_at = -math.inf
        self._lock = threading.Lock()

    def add(self, seconds: float, now: float) -> None:
        """Takes what costs so many seconds, from now or from when the rest is paid for."""
        with self._lock:
            self.free_at = max(self.free_at, now) + seconds


class Pace:
    """Keeps read units below a rate: a page's units are paid for before the next is asked.

    Those who share a `spending` stay below the rate together.
    """

    def __init__(
        self,
        units_per_second: float | None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        spending: Spending | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._rate = units_per_second
        self._sleep = sleep
        self._monotonic = monotonic
        self._spending = spending or Spending()
        self._waits = waits or Waits()

    @property
    def counts(self) -> bool:
        """Whether units must be asked for."""
        return self._rate is not None

    def wait(self) -> None:
        """Waits until what was spent is paid for."""
        pause = self._spending.free_at - self._monotonic()
        if pause > 0:
            wait = self._waits.begin(logging.INFO)
            wait.goes_on("read units, of which source.max_read_units are spent", pause, pause)
            self._sleep(pause)

    def spend(self, units: float) -> None:
        """Takes the units of one page."""
        if self._rate is not None:
            self._spending.add(units / self._rate, self._monotonic())
