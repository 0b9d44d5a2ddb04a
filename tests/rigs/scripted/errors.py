"""The errors DynamoDB answers with, in its own words."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class ServiceError(Exception):
    """One error answer: what goes into the body, and the HTTP status."""

    code: str
    message: str
    status: int = 400
    extra: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {
            "__type": f"com.amazonaws.dynamodb.v20120810#{self.code}",
            "message": self.message,
            **self.extra,
        }


def invalid(message: str) -> ServiceError:
    """A request that breaks a rule of the API."""
    return ServiceError("ValidationException", message)


def missing_table(name: str) -> ServiceError:
    """No table has this name."""
    return ServiceError(
        "ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"
    )


def missing_stream(arn: str) -> ServiceError:
    """No stream has this ARN."""
    return ServiceError(
        "ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found"
    )


def missing_shard(shard_id: str) -> ServiceError:
    """The stream has no such shard, or has it no more."""
    return ServiceError(
        "ResourceNotFoundException", f"Requested resource not found: Shard: {shard_id} not found"
    )


def trimmed() -> ServiceError:
    """The records asked for are older than the trim horizon."""
    return ServiceError(
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard.",
    )


def expired_iterator() -> ServiceError:
    """The iterator was issued more than 15 minutes ago."""
    return ServiceError("ExpiredIteratorException", "The shard iterator has expired.")


def unknown_operation(name: str) -> ServiceError:
    """The rig does not offer this operation to clients."""
    return ServiceError("UnknownOperationException", f"The rig does not serve {name}")
