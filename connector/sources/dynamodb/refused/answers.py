"""Interprets AWS's error answers: the reason in one sentence, and what to do about it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from connector.errors import ConnectorError, SourceRefused, Throttled, Unreachable
from connector.sources.dynamodb.refused.denied import of_denial, of_key

THROTTLES = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "Throttling",
        "KMSThrottlingException",
    )
)
_OF_THE_MOMENT = frozenset(
    (
        "ReplicatedWriteConflictException",
        "ResourceInUseException",
        "TransactionConflictException",
        "TransactionInProgressException",
    )
)
_EXPIRED = frozenset(("ExpiredTokenException", "ExpiredToken", "RequestExpired"))
_UNKNOWN_OPERATION = frozenset(
    ("UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplemented")
)
# An answer with one of these, and no code of AWS's own, comes from another web server.
_NO_DYNAMODB = frozenset(("301", "302", "303", "307", "308", "404", "405"))
_OF_TABLES = frozenset(
    ("DescribeTable", "Scan", "BatchGetItem", "DescribeKinesisStreamingDestination")
)
_OF_KINESIS = frozenset(("DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"))
_OF_STREAMS = frozenset(("DescribeStream", "GetShardIterator", "GetRecords"))

CREDENTIAL_TRIES = 3
"""Credentials may be being renewed, and a request may have waited before it was sent."""

KINESIS = "Kinesis"
_ADMINISTRATOR = "Ask the administrator of the AWS account."
_SENTENCES: dict[str, tuple[str, str]] = {
    "UnrecognizedClientException": (
        "it does not know the credentials in this Region.",
        "Check the credentials: the access key may be deleted or mistyped, or AWS_SESSION_TOKEN "
        "may be missing or belong to another key. A Region that must be enabled first answers "
        "the same until the account has enabled it.",
    ),
    "IncompleteSignatureException": (
        "the access key id contains characters that are not allowed in one.",
        "Look for spaces, quotation marks or a slash in AWS_ACCESS_KEY_ID or in the profile.",
    ),
    "MissingAuthenticationTokenException": (
        "the request reached AWS without its signature.",
        "A proxy on the way may remove the Authorization header: let it pass, or bypass the proxy.",
    ),
    "SubscriptionRequiredException": (
        "the AWS account is not signed up for DynamoDB in this Region.",
        "Complete the sign-up, or enable the Region for the account.",
    ),
    "OptInRequired": (
        "the Region is not enabled for the AWS account.",
        "Enable it under Account > AWS Regions, or set source.region to another one.",
    ),
    "AccountProblem": (
        "there is a problem with the AWS account, which may be suspended.",
        _ADMINISTRATOR,
    ),
    "InvalidSignatureException": (
        "the secret access key does not belong to the access key id.",
        "Copy both again: AWS_SECRET_ACCESS_KEY and AWS_ACCESS_KEY_ID, or those of the profile.",
    ),
    "ExpiredTokenException": (
        "the credentials have expired.",
        "Renew them: `aws sso login`, a new AWS_SESSION_TOKEN, or whatever issued them.",
    ),
}
_SAME = {
    "InvalidClientTokenId": "UnrecognizedClientException",
    "InvalidAccessKeyId": "UnrecognizedClientException",
    "AuthFailure": "UnrecognizedClientException",
    "IncompleteSignature": "IncompleteSignatureException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "NotSignedUp": "SubscriptionRequiredException",
    "RegionDisabledException": "OptInRequired",
    "AccountProblemException": "AccountProblem",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "ExpiredToken": "ExpiredTokenException",
    "RequestExpired": "ExpiredTokenException",
}

_MOMENT = r"(\d{8}T\d{6}Z)"
_CLOCK = re.compile(
    rf"Signature (?:expired|not yet current): {_MOMENT} is .{{1,20}} than {_MOMENT} \({_MOMENT}"
)
_OF_THE_CLOCK = ("signature expired", "signature not yet current", "must be within")


@dataclass(frozen=True)
class Asked:
    """What was requested, and where, as far as the caller knows."""

    table: str = ""
    endpoint: str = ""
    answered: bool = False
    """Whether the same operation has been answered there before."""
    service: str = "DynamoDB"
    """The name of the service."""

    @property
    def kinesis(self) -> bool:
        """Whether it is Kinesis that was asked."""
        return self.service == KINESIS


@dataclass(frozen=True)
class _Answer:
    code: str
    message: str
    status: int
    operation: str
    attempt: int
    asked: Asked
    content: dict[str, Any]

    @property
    def refused(self) -> str:
        """The beginning of a sentence about this answer."""
        return f"AWS refused {self.operation} ({self.code})"


def of_answer(error: ClientError, attempt: int = 0, asked: Asked | None = None) -> ConnectorError:
    """Our error for an error answer. AWS's message is not repeated, since it may quote a key."""
    details = error.response.get("Error") or {}
    answer = _Answer(
        code=str(details.get("Code") or ""),
        message=str(details.get("Message") or ""),
        status=int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)),
        operation=error.operation_name,
        attempt=attempt,
        asked=asked or Asked(),
        content=dict(error.response),
    )
    for meaning in _MEANINGS:
        found = meaning(answer)
        if found is not None:
            return found
    hint = (
        f"Check the endpoint: {answer.asked.service} does not give this answer to such a request."
    )
    if answer.operation not in _OF_STREAMS | _OF_TABLES | _OF_KINESIS:
        hint = "Check the role and the other names in the request, and the credentials."
    return SourceRefused(f"{answer.refused}.", hint)


def _throttle(answer: _Answer) -> ConnectorError | None:
    if answer.code not in THROTTLES:
        return None
    reasons: Any = answer.content.get("ThrottlingReasons")
    named = [each.get("reason") for each in reasons or () if isinstance(each, dict)]
    reason = ", ".join(str(each) for each in named if each) or answer.code
    hint = "Nothing is lost: run the same command later, or set source.max_read_units lower."
    if answer.asked.kinesis:
        hint = (
            "Nothing is lost: run the same command later. Each shard answers five reads and 2 MB "
            "a second to all of its readers together: others may be reading this stream, too."
        )
    elif answer.operation in _OF_STREAMS:
        hint = (
            "Nothing is lost: run the same command later. At most two readers may read a shard at "
            "once: a Lambda function or another connector may be reading this stream, too."
        )
    return Throttled(f"{answer.asked.service} kept throttling {answer.operation} ({reason}).", hint)


def _of_the_moment(answer: _Answer) -> ConnectorError | None:
    if answer.status < 500 and answer.code not in _OF_THE_MOMENT:
        return None
    return Unreachable(
        f"{answer.asked.service} answered {answer.operation} with {answer.status} {answer.code}.",
        "Nothing is lost: run the same command again later.",
    )


def _clock(answer: _Answer) -> ConnectorError | None:
    text = answer.message.lower()
    skewed = answer.code == "RequestTimeTooSkewed"
    if not skewed and not any(sign in text for sign in _OF_THE_CLOCK):
        return None
    if answer.attempt < CREDENTIAL_TRIES and not skewed:
        # A process that was suspended between signing and sending sends an old signature.
        return Unreachable(f"The signature of {answer.operation} was too old.", "Run again.")
    return SourceRefused(
        f"{answer.refused}: this machine's clock differs from AWS's{_difference(answer)}.",
        "Set the clock and keep it set, for example with `timedatectl set-ntp true`: AWS accepts "
        "only requests that are signed within 5 minutes of its own time.",
    )


def _difference(answer: _Answer) -> str:
    found = _CLOCK.search(answer.message)
    try:
        if found:
            ours, theirs = (datetime.strptime(found[at], "%Y%m%dT%H%M%S%z") for at in (1, 3))
        else:
            header = answer.content["ResponseMetadata"]["HTTPHeaders"]["date"]
            ours, theirs = datetime.now(UTC), parsedate_to_datetime(header)
        return shown_difference((ours - theirs).total_seconds())
    except (KeyError, TypeError, ValueError):
        return ""


def shown_difference(seconds: float) -> str:
    """For example ` by 2 h 5 min: it is behind`; an empty string for less than a second."""
    whole = round(abs(seconds))
    if not whole:
        return ""
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = []
    for size, name in units:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}")
    return f" by {' '.join(parts[:2])}: it is {'ahead' if seconds > 0 else 'behind'}"


def _unknown_operation(answer: _Answer) -> ConnectorError | None:
    if answer.operation not in _OF_STREAMS | _OF_TABLES | _OF_KINESIS:
        return None
    elsewhere = answer.code in _UNKNOWN_OPERATION or "scoped to correct service" in answer.message
    # If the same call has been answered before, a gateway on the way has a temporary problem.
    if not elsewhere and (answer.asked.answered or answer.code not in _NO_DYNAMODB):
        return None
    endpoint = answer.asked.endpoint or "The endpoint"
    if answer.asked.kinesis:
        return SourceRefused(
            f"{endpoint} does not know {answer.operation}: it is not Kinesis.",
            "Set source.kinesis_endpoint_url to an endpoint that is; without it, "
            "source.endpoint_url is used for Kinesis as well.",
        )
    if answer.operation in _OF_STREAMS:
        return SourceRefused(
            f"{endpoint} does not know {answer.operation}: it does not serve DynamoDB Streams.",
            "Set source.streams_endpoint_url to an endpoint that does; without it, "
            "source.endpoint_url is used for streams as well. A VPC's gateway endpoint for "
            "DynamoDB has no streams: they need an interface endpoint.",
        )
    return SourceRefused(
        f"{endpoint} does not know {answer.operation}: it is not DynamoDB.",
        "Check source.endpoint_url, and the variables AWS_ENDPOINT_URL and "
        "AWS_ENDPOINT_URL_DYNAMODB; without any of them AWS's own endpoint is used.",
    )


def _other_region(answer: _Answer) -> ConnectorError | None:
    if "scoped to a valid region" not in answer.message.lower():
        return None
    return SourceRefused(
        f"{answer.refused}: the endpoint belongs to another Region than the one in the signature.",
        "Set source.region to the Region of source.endpoint_url.",
    )


def _credentials(answer: _Answer) -> ConnectorError | None:
    if answer.code in _EXPIRED and answer.attempt < CREDENTIAL_TRIES:
        return Unreachable(f"The credentials for {answer.operation} have expired.", "Renew them.")
    known = _SENTENCES.get(_SAME.get(answer.code, answer.code))
    if known is None:
        return None
    sentence, hint = known
    return SourceRefused(f"{answer.refused}: {sentence}", hint)


def _denial(answer: _Answer) -> ConnectorError | None:
    prefix = "kinesis" if answer.asked.kinesis else "dynamodb"
    return of_denial(answer.code, answer.message, answer.operation, answer.asked.table, prefix)


def _key(answer: _Answer) -> ConnectorError | None:
    return of_key(answer.code, answer.message, answer.operation, answer.asked.table)


def _without_code(answer: _Answer) -> ConnectorError | None:
    # An error without a code of AWS's own comes from a proxy, or was damaged on its way.
    if answer.code and not answer.code.isdecimal():
        return None
    return Unreachable(
        f"{answer.operation} was answered with {answer.status}, without a reason.",
        "A proxy or a firewall on the way may have answered: check the network and "
        "source.endpoint_url, then run the same command again.",
    )


_MEANINGS: tuple[Callable[[_Answer], ConnectorError | None], ...] = (
    _throttle,
    _of_the_moment,
    _clock,
    _unknown_operation,
    _other_region,
    _credentials,
    _key,
    _denial,
    _without_code,
)
