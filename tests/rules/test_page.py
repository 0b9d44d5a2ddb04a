"""docs/tables.md: its file is used as it is, and its query and its command give their answers."""

import re
import subprocess
from typing import Any

import yaml

from tests.pipeline.replica import Replica
from tests.test_docs import PAGES, blocks

from .conftest import Made
from .oracle import KEY, digest

PAGE = PAGES["docs/tables.md"].partition("\n## Rules\n")[2].partition("\n## ")[0]
(CONFIGURATION,) = blocks(PAGE, "yaml")
TABLES: dict[str, dict[str, Any]] = yaml.safe_load(CONFIGURATION)["tables"]
(QUERY,) = blocks(PAGE, "sql")

CUSTOMERS = [
    {
        "id": {"S": f"c{n}"},
        "email": {"S": f"c{n}@example.com"},
        "card": {"N": "4111111111111111"},
        "info": {"M": {"secret": {"S": "hush"}, "since": {"N": "2019"}}},
        "orders": {"L": [{"M": {"note": {"S": "ring twice"}}}]},
        "createdAt": {"N": "1700000000"},
        "address": {"M": {"city": {"S": city}}},
    }
    for n, city in enumerate(("Rome", "Oslo"))
]
ORDERS = [
    {"id": {"S": f"o{n}"}, "customer": {"S": f"c{n % 2}"}, "total": {"N": f"{n}.5"}}
    for n in range(4)
]


def synced(make: Made) -> Replica:
    """Both tables of the page, on one destination."""
    made = {
        name: make(table["columns"], name=name, unlisted=table.get("unlisted", "keep"))
        for name, table in TABLES.items()
    }
    made["customers"].model.load(CUSTOMERS)
    made["orders"].model.load(ORDERS)
    for replica in made.values():
        replica.sync()
        assert replica.verdict().equal
    return made["orders"]


def test_the_query_joins_on_digests(make: Made) -> None:
    replica = synced(make)
    answer = [(city, float(total)) for city, total in replica.sql(QUERY)]
    assert answer == [("Oslo", 5.0), ("Rome", 3.0)]
    found = replica.sql("SELECT customer, card, created_at, city FROM customers ORDER BY city")
    assert found[1] == (digest({"S": "c0"}), "****", 1_700_000_000, "Rome")


def test_the_command_makes_the_same_digest() -> None:
    (command,) = re.findall(r"^printf .*$", PAGE, re.MULTILINE)
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "CONNECTOR_HASH_KEY": KEY.decode()}
    said = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[-1] == digest({"S": "c1"})
