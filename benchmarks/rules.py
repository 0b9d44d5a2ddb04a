"""What rules cost a snapshot: the same table with a hash and an exclude, and without, in turns."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.processes import served
from benchmarks.snapshots import LOADED, sync
from benchmarks.warehouses import warehouse
from connector.core.rules.hash_key import VARIABLE
from tests.rigs.scripted import PrerenderedTable, prerendered

COLUMNS = {"customer": {"hash": True}, "status": {"exclude": True}}
VARIABLES = {
    "CONNECTOR_TABLES": json.dumps({"load": {"columns": COLUMNS}}),
    VARIABLE: "the key of a benchmark, which is no secret",
}


@dataclass(frozen=True)
class Ruled:
    """Medians of loaded items per second, and of processor seconds, with rules and without."""

    destination: str
    items: int
    plain: float
    ruled: float
    plain_cpu: float
    ruled_cpu: float

    @property
    def ratio(self) -> float:
        """The share of the rate that is left with rules."""
        return self.ruled / self.plain


def ruled(kind: str, items: int, rounds: int) -> Ruled:
    """Snapshots the flat table both ways in turns, so that both see the same machine."""
    table = PrerenderedTable("load", items, prerendered.flat)
    rates: dict[bool, list[float]] = {False: [], True: []}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with TemporaryDirectory(prefix="connector-bench-") as name, served("flat", items) as source:
        folder = Path(name)
        with warehouse(kind, folder) as place:
            for number in range(2 * rounds):
                with_rules = bool(number % 2)
                variables = VARIABLES if with_rules else {}
                cost = sync(folder, source, place, table, variables=variables)
                rates[with_rules].append(items / cost.seconds_until(LOADED))
                seconds[with_rules].append(cost.cpu)
                place.clean()
    return Ruled(
        kind,
        items,
        median(rates[False]),
        median(rates[True]),
        median(seconds[False]),
        median(seconds[True]),
    )
