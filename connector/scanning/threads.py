"""A scan in a thread, beside the tail."""

import threading

from connector.config.model import Config
from connector.core.state import TableState
from connector.events import Listener
from connector.pipeline.scan import SegmentScan
from connector.scanning.segments import STOP_SECONDS, segment_scan
from connector.sources.dynamodb.calls import Spending
from connector.sources.dynamodb.client import Clients
from connector.stop import Stop
from connector.waits import Waits


class ThreadScan:
    """Scans the segments one after another in a thread, for tables that one core reads quickly."""

    def __init__(
        self,
        config: Config,
        state: TableState,
        listener: Listener,
        spending: Spending,
        clients: Clients | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        scan = segment_scan(
            config,
            state,
            listener,
            Stop.of(self._stopping),
            clients=clients,
            spending=spending,
            waits=waits,
        )
        self._thread = threading.Thread(target=self._run, args=(scan, state.segments), name="scan")
        self._thread.start()

    def _run(self, scan: SegmentScan, segments: int) -> None:
        try:
            for number in range(segments):
                if not scan.run(number):
                    return
        except BaseException as error:
            self._error = error

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error that the scan ended with."""
        if self._thread.is_alive():
            return False
        self._thread.join()
        if self._error is not None:
            raise self._error
        return True

    def stop(self) -> None:
        """Ends the scan after its current page."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
