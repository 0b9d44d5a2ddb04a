"""The base class of the operators: connections, the end of a killed task, and errors."""

import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from connector.airflow.connections import Access, open_access
from connector.airflow.reported import reported
from connector.errors import ConnectorError, Interrupted, uncaught
from connector.progress import Logged, Tally
from connector.stop import Stop

if TYPE_CHECKING:
    from connector.pipeline.sync import Run

LEAVE_SECONDS = 27.0
"""A worker that shuts down kills tasks that have not ended 30 seconds after it asked them to."""

Context = MutableMapping[str, Any]


class ConnectorOperator(BaseOperator):
    """One step of one table; it opens its connections when it runs."""

    ui_color = "#e3f2fd"

    def __init__(
        self,
        *,
        table: str,
        config_file: str,
        aws_conn_id: str | None = None,
        destination_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.config_file = config_file
        self.aws_conn_id = aws_conn_id
        self.destination_conn_id = destination_conn_id
        self._asked_to_end: threading.Event | None = None
        self._leaving: threading.Timer | None = None

    def execute(self, context: Context) -> Any:
        """Runs the step."""
        self._asked_to_end = threading.Event()
        try:
            with airflow_errors():
                return self.step(context, Stop.of(self._asked_to_end))
        finally:
            if self._leaving is not None:
                self._leaving.cancel()

    def step(self, context: Context, stop: Stop) -> Any:
        """Does the work of this step."""
        raise NotImplementedError

    def on_kill(self) -> None:
        """Ends the step after its current page or batch."""
        if self._asked_to_end is None or self._asked_to_end.is_set():
            return
        self._asked_to_end.set()
        # A transaction that has not committed by then is rolled back, so nothing is half written.
        self._leaving = threading.Timer(LEAVE_SECONDS, os._exit, (Interrupted.exit_code,))
        self._leaving.daemon = True
        self._leaving.start()

    def access(self) -> Access:
        """The configuration and the connections."""
        return open_access(self.config_file, self.aws_conn_id, self.destination_conn_id, self.table)

    def open_run(self, stop: Stop, tally: Tally, region: str | None = None) -> "Run":
        """The table's run, with source and destination; in a Region, if one is given."""
        from connector import job

        access = self.access()
        return job.open_run(
            access.config,
            self.table,
            listener=Logged(tally),
            stop=stop,
            command=f"airflow {self.task_id}",
            credentials=access.credentials,
            region=region,
        )


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turns our errors into Airflow's: a fatal one fails the task, any other is retried.

    Causes are dropped, because the message of a foreign error may quote an item.
    """
    try:
        yield
    except ConnectorError as error:
        raise reported(error) from None
    except AirflowException:
        raise
    except Exception as error:
        raise reported(uncaught(error)) from None
