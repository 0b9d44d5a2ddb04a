"""Calls AWS: retries while that can help, and translates every failure into our own words."""

import logging
import math
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from connector.errors import BadAnswer, ConnectorError, Throttled, Unreachable
from connector.sources.dynamodb.refused.answers import CREDENTIAL_TRIES, KINESIS, Asked, of_answer
from connector.sources.dynamodb.refused.refusals import of_botocore
from connector.waits import Waits

log = logging.getLogger("connector.sources.dynamodb")

Answer = TypeVar("Answer")

FIRST_DELAY = 0.05
LONGEST_DELAY = 20.0
FIRST_CONTACT_SECONDS = 10.0
JUMP = 2.0


class SourceClock:
    """The source's time, from the Date header of its answers; between answers, monotonic."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def hear(self, date: str | None) -> None:
        """Sets the clock by an answer's Date header."""
        if date:
            try:
                then = parsedate_to_datetime(date)
            except ValueError:
                return
            offset = then.timestamp() - time.monotonic()
            # The header is truncated to seconds, so the largest offset is the most accurate one;
            # a large difference means that the source's clock was set.
            if self._offset is None or not -JUMP <= offset - self._offset <= 0:
                self._offset = offset

    @property
    def ahead(self) -> float | None:
        """How many seconds this machine's clock is ahead; None before the first answer."""
        if self._offset is None:
            return None
        return time.time() - (time.monotonic() + self._offset)

    def mark(self) -> float:
        """This moment, whose time at the source may be known only after an answer."""
        return time.monotonic()

    def at(self, mark: float) -> datetime:
        """The source's time at a moment; before its first answer, this machine's."""
        if self._offset is None:
            return datetime.fromtimestamp(time.time() - (time.monotonic() - mark), UTC)
        return datetime.fromtimestamp(mark + self._offset, UTC)

    def now(self) -> datetime:
        """The source's time now; before its first answer, this machine's."""
        if self._offset is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)


@dataclass
class Caller:
    """Calls operations until they answer, an error is final, or `retry_seconds` have passed."""

    retry_seconds: float
    clock: SourceClock
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    met: bool = False
    table: str = ""
    """The table that the calls are about, for use in errors."""
    answered: set[str] = field(default_factory=set)
    """The operations that have been answered."""
    waits: Waits = field(default_factory=Waits)

    def __call__(
        self, operation: Callable[..., Any], check: Callable[[Any], Answer], **parameters: Any
    ) -> Answer:
        """The checked answer. `check` raises BadAnswer if a 200 has a wrong body."""
        began = self.monotonic()
        attempt = 0
        wait = self.waits.begin()
        while True:
            try:
                return self._once(operation, check, parameters)
            except (ClientError, ConnectorError, BotoCoreError) as error:
                self._hear(error)
                asked = self._asked(operation)
                problem = translate(error, attempt, asked)
                if not isinstance(problem, (Throttled, Unreachable, BadAnswer)):
                    raise problem from error
                # Only the source itself says that it is asked too much.
                self.met = self.met or isinstance(problem, Throttled)
                delay = random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
                left = began + self._patience() - self.monotonic()
                if delay > left:
                    raise translate(error, CREDENTIAL_TRIES, asked) from error
                wait.goes_on(_awaited(problem, error, asked.service), left, delay)
                log.debug("retrying after %s", type(error).__name__)
                self.sleep(delay)
                attempt += 1

    def _patience(self) -> float:
        # A source that has never answered is more likely a wrong address than a temporary failure.
        return self.retry_seconds if self.met else min(self.retry_seconds, FIRST_CONTACT_SECONDS)

    def _once(
        self,
        operation: Callable[..., Any],
        check: Callable[[Any], Answer],
        parameters: dict[str, Any],
    ) -> Answer:
        answer = operation(**parameters)
        self.clock.hear(_headers(answer).get("date"))
        self.met = True
        checked = check(answer)
        self.answered.add(_name(operation))
        return checked

    def _hear(self, error: Exception) -> None:
        # Only until there is a good answer, which is more reliable; a proxy sends no request id.
        if not isinstance(error, ClientError) or self.clock.ahead is not None:
            return
        headers = _headers(error.response)
        if "x-amzn-requestid" in headers:
            self.clock.hear(headers.get("date"))

    def _asked(self, operation: Callable[..., Any]) -> Asked:
        meta = getattr(getattr(operation, "__self__", None), "meta", None)
        return Asked(
            table=self.table,
            endpoint=getattr(meta, "endpoint_url", ""),
            answered=_name(operation) in self.answered,
            service=_service(meta),
        )


def _service(meta: Any) -> str:
    """The name of a client's service; DynamoDB's two are one to the user."""
    model = getattr(meta, "service_model", None)
    return KINESIS if getattr(model, "service_name", "") == "kinesis" else "DynamoDB"


def _awaited(problem: ConnectorError, error: Exception, service: str) -> str:
    """What a run waits for after an error that may go away."""
    if isinstance(problem, Throttled) and isinstance(error, ClientError):
        return f"{service}, which throttles {error.operation_name}"
    return f"a usable answer ({problem.message.rstrip('.')})"


def _name(operation: Callable[..., Any]) -> str:
    return getattr(operation, "__name__", "")


def _headers(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    headers: Mapping[str, Any] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def translate(error: Exception, attempt: int = 0, asked: Asked | None = None) -> Exception:
    """Our error for a foreign one; unknown errors are returned unchanged."""
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, ClientError):
        return of_answer(error, attempt, asked)
    if isinstance(error, BotoCoreError):
        return of_botocore(error)
    return error


def body(answer: dict[str, Any]) -> bytes:
    """The bytes of a raw answer. Raises BadAnswer if its checksum differs from the header's."""
    content: bytes = answer["Body"]
    expected = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("x-amz-crc32")
    if expected is not None and expected.isdecimal() and zlib.crc32(content) != int(expected):
        raise BadAnswer("An answer of DynamoDB was damaged on its way.", "Run again.")
    return content


def member(name: str, service: str = "DynamoDB") -> Callable[[dict[str, Any]], Any]:
    """A check that an answer of a service has a required member."""

    def check(answer: dict[str, Any]) -> Any:
        if answer.get(name) is None:
            raise BadAnswer(f"An answer of {service} lacks {name}.", "Run again.")
        return answer[name]

    return check


def error_code(error: Exception) -> str:
    """The AWS code of an error answer, even one translated to our error, or an empty string."""
    answer = error if isinstance(error, ClientError) else error.__cause__
    if isinstance(answer, ClientError):
        return str(answer.response.get("Error", {}).get("Code", ""))
    return ""


class Spending:
    """What several readers have spent together, as the time when it is paid for."""

    def __init__(self) -> None:
        self.free_at = -math.inf
        self._lock = threading.Lock()

    def add(self, seconds: float, now: float) -> None:
        """Adds a cost in seconds, counted from now or from when the rest is paid for."""
        with self._lock:
            self.free_at = max(self.free_at, now) + seconds


class ReadUnitLimiter:
    """Keeps read units below a rate: a page is requested once the previous ones are paid for.

    Limiters that share a `spending` stay below the rate together.
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
        """Whether there is a limit, so that answers must include consumed units."""
        return self._rate is not None

    def wait(self) -> None:
        """Waits until what was spent is paid for."""
        pause = self._spending.free_at - self._monotonic()
        if pause > 0:
            wait = self._waits.begin(logging.INFO)
            wait.goes_on("read units, since source.max_read_units is used up", pause, pause)
            self._sleep(pause)

    def spend(self, units: float) -> None:
        """Adds the units of one page."""
        if self._rate is not None:
            self._spending.add(units / self._rate, self._monotonic())
