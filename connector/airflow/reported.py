"""Shows an error of ours in a task's log: its message and its hint, without a traceback."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from connector.errors import ConnectorError, Fatal

log = logging.getLogger("connector.airflow")


class StepFailed(AirflowFailException):
    """The task fails at once, since running it again would end in the same way."""


class StepTriedAgain(AirflowException):
    """The task fails, and its next try may succeed."""


def reported(error: ConnectorError) -> AirflowException:
    """Logs an error as two lines, and returns the exception for the task to raise.

    The error's cause is dropped, because a foreign error may quote an item.
    """
    log.error("%s: %s", type(error).__name__, error.message)
    if error.hint:
        log.error("Hint: %s", error.hint)
    _show_no_frames()
    kind = StepFailed if isinstance(error, Fatal) else StepTriedAgain
    return kind(f"{type(error).__name__}: {error}")


def _show_no_frames() -> None:
    """Makes Airflow log these exceptions without frames, which would push the two lines away."""
    processors = structlog.get_config()["processors"]
    if _without_frames not in processors:
        # In place: loggers that exist already share this list.
        processors.insert(0, _without_frames)


def _without_frames(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    error = sys.exc_info()[1]
    if event.get("exc_info") is True and isinstance(error, StepFailed | StepTriedAgain):
        del event["exc_info"]
        event["reason"] = str(error)
    return event
