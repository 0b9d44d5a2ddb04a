"""A single-table design and its targets: what each must hold, by an oracle of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.pipeline.replica import Replica
from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB

NAME = "app"
KEYS = KeySchema(Key("pk"), Key("sk"))

ROUTES: list[dict[str, Any]] = [
    {"when": {"sk": "PROFILE"}, "into": "customers"},
    {"when": {"pk": "C#*", "kind": "order", "v": 2}, "into": "bought"},
    {"else": "other"},
]

Item = Mapping[str, Any]


def target_of(item: Item) -> str:
    """Where ROUTES lead an item, spelled out."""
    if item["sk"] == {"S": "PROFILE"}:
        return "customers"
    version = item.get("v", {}).get("N")
    numbered = version is not None and float(version) == 2
    if item["pk"]["S"].startswith("C#") and item.get("kind") == {"S": "order"} and numbered:
        return "bought"
    return "other"


def profile(n: object, **more: Any) -> dict[str, Any]:
    """A customer."""
    return {"pk": {"S": f"C#{n}"}, "sk": {"S": "PROFILE"}, **more}


def order(n: object, v: object = 2, **more: Any) -> dict[str, Any]:
    """An order of some version, which decides where it goes."""
    about = {"kind": {"S": "order"}, "v": {"N": str(v)}}
    return {"pk": {"S": f"C#{n}"}, "sk": {"S": f"O#{n}"}, **about, **more}


def key(item: Item) -> dict[str, Any]:
    """The key of an item."""
    return {name: item[name] for name in ("pk", "sk")}


@dataclass
class Routed(Replica):
    """A replica of a table with routes."""

    target_of: Callable[[Item], str] = field(default=target_of)
    targets: Sequence[str] = ("customers", "bought", "other")

    @classmethod
    def of(
        cls, rig: ScriptedDynamoDB, folder: Path, url: str, routes: Sequence[Mapping[str, Any]]
    ) -> "Routed":
        """A replica with these routes."""
        tables: dict[str, Any] = {NAME: {"routes": [dict(route) for route in routes]}}
        settings: dict[str, object] = {"tables": tables, "spool": str(folder / "spool")}
        return cls(rig, folder, NAME, settings, url)

    def keys_in(self, target: str) -> list[tuple[str, str]]:
        """The keys of the rows of one target."""
        rows = self.sql(f'SELECT pk, sk FROM "{target}" ORDER BY pk, sk')
        return [(pk, sk) for pk, sk in rows]

    def assert_divided(self) -> None:
        """Each target has exactly the items that belong there, and verify says the same."""
        wanted: dict[str, list[tuple[str, str]]] = {target: [] for target in self.targets}
        for item in self.model.items():
            wanted.setdefault(self.target_of(item), []).append((item["pk"]["S"], item["sk"]["S"]))
        for target in self.targets:
            assert self.keys_in(target) == sorted(wanted[target]), target
        verdict = self.verdict()
        assert verdict.equal, verdict
        matching = {name: found.matching for name, found in verdict.targets.items()}
        assert matching == {name: len(wanted[name]) for name in self.targets}
