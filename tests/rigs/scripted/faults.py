"""Faults as data: what goes wrong, and for which calls.

scripted.faults.add(throttle(), on="Scan", times=3)
scripted.faults.add(internal_server_error(), on="GetRecords", chance=0.3, seed=7)
scripted.faults.add(wrong_body(b"<html>"), on="Scan", segment=2, after=5)
"""

import json
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from . import errors
from .calls import Call, matches
from .errors import ServiceError
from .responses import Response


@dataclass(frozen=True)
class Attempt:
    """A call at the moment a fault may meet it."""

    call: Call
    proceed: Callable[[], Response]
    empty: Callable[[], Response]
    previous: Response | None
    wait: Callable[[float], None]


Effect = Callable[[Attempt], Response]


def error(code: str, message: str = "", status: int = 400, **extra: Any) -> Effect:
    """Answers with this error."""
    failed = Response.failed(ServiceError(code, message or code, status, extra))
    return lambda attempt: failed


def throttle(
    code: str = "ProvisionedThroughputExceededException",
    reason: str = "TableReadProvisionedThroughputExceeded",
) -> Effect:
    """Throttles; the code may also be ThrottlingException or RequestLimitExceeded."""
    reasons = [{"reason": reason, "resource": "arn:aws:dynamodb:us-west-2:000000000000:table/x"}]
    return error(code, "The level of configured throughput was exceeded", ThrottlingReasons=reasons)


def limit_exceeded() -> Effect:
    """Says that more than two readers read the shard."""
    return error("LimitExceededException", "Too many readers of one shard")


def internal_server_error() -> Effect:
    """Answers 500."""
    return error("InternalServerError", "Internal server error", 500)


def unavailable() -> Effect:
    """Answers 503."""
    return error("ServiceUnavailable", "The service is unavailable. Please retry shortly.", 503)


def expired_iterator() -> Effect:
    """Says that the iterator has expired, however young it is."""
    return lambda attempt: Response.failed(errors.expired_iterator())


def trimmed() -> Effect:
    """Says that the records were trimmed."""
    return lambda attempt: Response.failed(errors.trimmed())


def access_denied() -> Effect:
    """Says that the caller may not do this."""
    return error(
        "AccessDeniedException", "User: arn:aws:iam::000000000000:user/reader is not authorized"
    )


def unrecognized_client() -> Effect:
    """Says that the security token is invalid."""
    return error(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )


def expired_token() -> Effect:
    """Says that the security token has expired."""
    return error("ExpiredTokenException", "The security token included in the request is expired")


def wrong_body(body: bytes = b"", content_type: str = "application/x-amz-json-1.0") -> Effect:
    """Answers 200 with a body that is not the answer."""
    return lambda attempt: Response(body, content_type=content_type)


def html() -> Effect:
    """Answers 200 with the page of some proxy."""
    return wrong_body(b"<html><body>Please log in</body></html>", "text/html")


def cut_body(kept: float = 0.5) -> Effect:
    """Answers 200 with the first part of the body, as if that were all of it."""

    def effect(attempt: Attempt) -> Response:
        body = attempt.proceed().body
        return Response(body[: int(len(body) * kept)])

    return effect


def edit(change: Callable[[Any], object]) -> Effect:
    """Lets the test change the content of an otherwise good answer in place."""

    def effect(attempt: Attempt) -> Response:
        answer = attempt.proceed()
        if answer.error:
            return answer
        try:
            content = json.loads(answer.body)
        except ValueError:
            # Another fault has spoilt it already.
            return answer
        change(content)
        return Response.of(content)

    return effect


def without(*names: str) -> Effect:
    """Leaves members out of an otherwise good answer."""
    return edit(lambda content: [content.pop(name, None) for name in names])


def wrong_checksum() -> Effect:
    """Sends a checksum that the body does not have."""

    def effect(attempt: Attempt) -> Response:
        answer = attempt.proceed()
        return replace(answer, checksum=answer.crc32 ^ 1)

    return effect


def cut_connection(kept: float = 0.5) -> Effect:
    """Closes the connection in the middle of the body."""

    def effect(attempt: Attempt) -> Response:
        answer = attempt.proceed()
        return replace(answer, sent=int(len(answer.body) * kept))

    return effect


def delay(seconds: float) -> Effect:
    """Waits in real time, then answers; while it waits, other calls overlap with this one."""

    def effect(attempt: Attempt) -> Response:
        attempt.wait(seconds)
        return attempt.proceed()

    return effect


def unprocessed(share: float) -> Effect:
    """Lets BatchGetItem leave out the last of its keys, this share of them."""

    def effect(attempt: Attempt) -> Response:
        requests = attempt.call.parameters["RequestItems"]

        def leave(content: Any) -> None:
            for name, request in requests.items():
                keys = request["Keys"]
                left = keys[math.ceil(len(keys) * (1 - share)) :]
                kept = [
                    item
                    for item in content["Responses"][name]
                    if not any(key.items() <= item.items() for key in left)
                ]
                content["Responses"][name] = kept
                if left:
                    content["UnprocessedKeys"][name] = {**request, "Keys": left}

        return edit(leave)(attempt)

    return effect


def repeat() -> Effect:
    """Gives the answer that the call before it in the same segment or shard got."""
    return lambda attempt: attempt.previous or attempt.proceed()


def empty_page() -> Effect:
    """Gives a page with nothing in it, which is not the end."""
    return lambda attempt: attempt.empty()


def run(action: Callable[[], object]) -> Effect:
    """Lets the test act just before the call is answered."""

    def effect(attempt: Attempt) -> Response:
        action()
        return attempt.proceed()

    return effect


@dataclass
class Rule:
    """One effect and the calls it meets."""

    effect: Effect
    on: str
    times: int | None
    after: int
    every: int
    chance: float
    dice: random.Random
    where: Callable[[Call], bool] | None
    wanted: dict[str, Any]
    met: int = 0
    fired: int = 0

    def fires(self, call: Call) -> bool:
        """Whether this call is one of them; counts it."""
        if self.on not in ("*", call.operation) or not matches(call, self.wanted):
            return False
        if self.where is not None and not self.where(call):
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        self.met += 1
        if self.met <= self.after or (self.met - self.after) % self.every:
            return False
        if self.chance < 1 and self.dice.random() >= self.chance:
            return False
        self.fired += 1
        return True


@dataclass
class Faults:
    """The rules in force. The first added is the outermost: what it lets pass meets the next."""

    rules: list[Rule] = field(default_factory=list)
    _previous: dict[object, Response] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        effect: Effect,
        *,
        on: str = "*",
        times: int | None = None,
        after: int = 0,
        every: int = 1,
        chance: float = 1.0,
        seed: int = 0,
        where: Callable[[Call], bool] | None = None,
        **wanted: Any,
    ) -> Rule:
        """Adds a rule; without `times`, `every` or `chance` it meets the next call only;
        `after` lets that many pass first.

        `wanted` narrows by segment, shard, table, or any parameter of the request.
        """
        if times is None and every == 1 and chance == 1.0:
            times = 1
        dice = random.Random(seed)
        rule = Rule(effect, on, times, after, every, chance, dice, where, wanted)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Ends every fault."""
        self.rules.clear()

    def reset(self) -> None:
        """Ends every fault, and forgets what was answered before."""
        self.clear()
        self._previous.clear()

    def answer(
        self,
        call: Call,
        normal: Callable[[], Response],
        empty: Callable[[], Response],
        wait: Callable[[float], None],
    ) -> Response:
        """The answer to a call, through every rule that meets it."""
        if not self.rules:
            return normal()
        rules = list(self.rules)

        def through(first: int) -> Response:
            for index in range(first, len(rules)):
                with self._lock:
                    fires = rules[index].fires(call)
                if fires:
                    previous = self._previous.get(call.lane)
                    inner = Attempt(call, partial(through, index + 1), empty, previous, wait)
                    return rules[index].effect(inner)
            return normal()

        answer = through(0)
        self._previous[call.lane] = answer
        return answer
