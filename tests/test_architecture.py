"""Who may import whom. The tables come first: to change the architecture, change a table."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from connector.destinations.registry import BACKENDS
from connector.sources.registry import FOLLOWERS, SNAPSHOTS

PACKAGE = Path(__file__).parent.parent / "connector"

# The parts of connector, each a folder or a module, and the other parts that each may import; a
# part may always import itself. One direction: cli | airflow -> job -> pipeline -> ports -> core.
# The edges (sources, destinations, spool) do not know each other: only job, and the workers that it
# lets scan, put them together. A name with a dot is one module of a part: the registry says what
# kinds of databases there are, and nobody outside of `destinations` asks which one it is.
KINDS = {"destinations.backend", "destinations.registry"}
EDGE = {"config", "core", "errors", "events", "failpoints", "ports", "stop", "waits"}
WIRED = EDGE | {"pipeline", "sources", "spool"}
MAY_IMPORT = {
    "errors": set(),
    "failpoints": {"errors"},
    "stop": {"errors"},
    "events": {"errors"},
    "core": {"errors"},
    "items": {"core", "errors"},
    "progress": {"core", "errors", "events", "stop"},
    "waits": {"core", "errors", "events"},
    "publishing": {"core", "errors", "events", "stop"},
    "config": KINDS | {"core", "errors"},
    "ports": {"core", "errors"},
    "sources": EDGE | {"items"},
    "destinations": EDGE,
    "spool": EDGE,
    "pipeline": EDGE | {"items"},
    "scanning": WIRED,
    "regions": {"config", "errors"},
    "job": WIRED | {"destinations.registry", "publishing", "regions", "scanning"},
    "checking": WIRED | {"job", "regions", "scanning"},
    "demo": EDGE | {"job", "pipeline"},
    "cli": EDGE | {"checking", "demo", "job", "pipeline", "progress", "scanning"},
    "airflow": EDGE | KINDS | {"job", "pipeline", "progress"},
    "__main__": {"cli"},
}

# Parts that import nothing but the standard library.
NEEDS_NO_LIBRARY = {"errors"}

# The only files that may import a library.
ONLY_IN = {
    "boto3": ["sources/*"],
    "botocore": ["sources/*"],
    "pyarrow.fs": ["spool/*", "sources/exports/*"],
    "duckdb": ["destinations/*"],
    "adbc_driver_manager": ["destinations/*"],
    "adbc_driver_postgresql": ["destinations/*"],
    "sqlalchemy": ["destinations/*", "airflow/plugin.py"],
    "airflow": ["airflow/*"],
    "moto": ["demo/*"],
    "typer": ["cli/*"],
    "cryptography": ["core/rules/sealing.py"],
}

# Slow to import, so nothing that `connector --help` imports may import them at module level.
HEAVY = {
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "airflow",
    "boto3",
    "botocore",
    "cryptography",
    "duckdb",
    "moto",
    "msgspec",
    "pyarrow",
    "sqlalchemy",
}
STARTS_FAST = "connector.cli.app"

# Names that say nothing about what is inside.
BANNED_NAMES = {"base", "common", "helper", "helpers", "manager", "managers", "util", "utils"}

# 300 is what we aim at.
MAX_LINES = 320
MAX_FUNCTION_LINES = 40
MAX_FILES = 12  # in a folder; its __init__.py is not counted


@dataclass(frozen=True)
class Import:
    """One imported name: pyarrow.fs both for `import pyarrow.fs` and `from pyarrow import fs`."""

    name: str
    line: int
    at_start: bool  # runs when the module is imported
    for_types: bool = False  # never runs


@dataclass(frozen=True)
class Module:
    """One source file of the package."""

    path: str  # below connector/, e.g. core/schema.py
    source: str

    @property
    def name(self) -> str:
        """The dotted name, e.g. connector.core.schema."""
        names = ["connector", *self.path.removesuffix(".py").split("/")]
        return ".".join(names[:-1] if names[-1] == "__init__" else names)

    @property
    def part(self) -> str:
        """The part of the architecture that this module belongs to."""
        return part_of(self.name)

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.source, self.path)

    @cached_property
    def imports(self) -> list[Import]:
        """Everything this module imports, anywhere."""
        return list(self._imports(self.tree, at_start=True))

    def _imports(self, node: ast.AST, at_start: bool, for_types: bool = False) -> Iterator[Import]:
        for name in self._imported_by(node):
            yield Import(name, node.lineno, at_start, for_types)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                yield from self._imports(child, at_start=False, for_types=True)
            for child in node.orelse:
                yield from self._imports(child, at_start, for_types)
            return
        inside = at_start and not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        for child in ast.iter_child_nodes(node):
            yield from self._imports(child, inside, for_types)

    def _imported_by(self, node: ast.AST) -> list[str]:
        match node:
            case ast.Import():
                return [alias.name for alias in node.names]
            case ast.ImportFrom():
                origin = self._origin(node)
                return [f"{origin}.{alias.name}" for alias in node.names]
            case ast.Call(
                func=ast.Attribute(attr="import_module")
                | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                return [name]
        return []

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        up = node.level - self.path.endswith("__init__.py")
        return ".".join([*package[: len(package) - up], *filter(None, [node.module])])


def part_of(name: str) -> str:
    """The part that a dotted name below connector belongs to; empty for connector itself."""
    return name.split(".")[1] if "." in name else ""


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or something inside it."""
    return name == package or name.startswith(package + ".")


def unknown_parts(modules: list[Module]) -> list[str]:
    """Modules that the table of parts does not know."""
    return [
        f"{module.path}: add it to MAY_IMPORT"
        for module in modules
        if module.part and module.part not in MAY_IMPORT
    ]


def wrong_directions(modules: list[Module]) -> list[str]:
    """Imports of a part of connector that the table does not allow."""
    parts = set(MAY_IMPORT)
    return [
        f"{module.path}:{found.line}: {module.part or 'connector'} imports {found.name}"
        for module in modules
        for found in module.imports
        if within(found.name, "connector")
        and (target := part_of(found.name)) in parts
        and target != module.part
        and not any(
            within(found.name, f"connector.{allowed}")
            for allowed in MAY_IMPORT.get(module.part, set())
        )
    ]


def foreign_libraries(modules: list[Module]) -> list[str]:
    """Imports of a library by a part that needs none."""
    known = {*sys.stdlib_module_names, "connector"}
    return [
        f"{module.path}:{found.line}: {module.part} imports {found.name}"
        for module in modules
        if module.part in NEEDS_NO_LIBRARY
        for found in module.imports
        if found.name.split(".")[0] not in known
    ]


def misplaced_libraries(modules: list[Module]) -> list[str]:
    """Imports of a library outside the files it belongs to."""
    return [
        f"{module.path}:{found.line}: {found.name} belongs in {', '.join(places)}"
        for module in modules
        for found in module.imports
        for library, places in ONLY_IN.items()
        if within(found.name, library) and not any(fnmatch(module.path, at) for at in places)
    ]


def asked_kinds(modules: list[Module]) -> list[str]:
    """Places outside of `destinations` that name a kind of database, as to ask which one it is."""
    kinds = {each.kind for each in BACKENDS}
    kinds |= {each.hosted.type for each in BACKENDS if each.hosted}
    return [
        f"{module.path}:{node.lineno}: {node.value!r} is for destinations/ to know"
        for module in modules
        if module.part not in ("destinations", "demo")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and node.value in kinds
    ]


def asked_sources(modules: list[Module]) -> list[str]:
    """Places that ask which kind of source it is: they compare it, or look it up."""
    kinds = {each.kind for each in (*SNAPSHOTS, *FOLLOWERS)}
    return [
        f"{module.path}:{node.lineno}: which kind of source it is, is for sources/ to know"
        for module in modules
        if module.part not in ("sources", "job", "demo") and module.path != "config/model.py"
        for node in ast.walk(module.tree)
        if any(
            isinstance(each, ast.Constant) and each.value in kinds
            for asked in _asked(node)
            for each in ast.walk(asked)
        )
    ]


def _asked(node: ast.AST) -> Sequence[ast.AST]:
    """What a place in the code compares something with, or looks it up among."""
    match node:
        case ast.Compare():
            return [node.left, *node.comparators]
        case ast.MatchValue():
            return [node.value]
        case (
            ast.Subscript(value=ast.Dict(keys=keys))
            | ast.Call(func=ast.Attribute(value=ast.Dict(keys=keys), attr="get"))
        ):
            return [key for key in keys if key is not None]
    return []


def slow_starts(modules: list[Module]) -> list[str]:
    """Chains of module-level imports that lead from the command line to a heavy library."""
    by_name = {module.name: module for module in modules}
    chains = {STARTS_FAST: STARTS_FAST} if STARTS_FAST in by_name else {}
    waiting = list(chains)
    heavy = []
    for name in waiting:  # grows while we walk
        for found in by_name[name].imports:
            if not found.at_start:
                continue
            if found.name.split(".")[0] in HEAVY:
                heavy.append(f"{chains[name]} -> {found.name}")
            steps = found.name.split(".")
            # Importing a.b.c runs a, a.b and a.b.c; c may also be a mere attribute.
            for prefix in (".".join(steps[:end]) for end in range(1, len(steps) + 1)):
                if prefix in by_name and prefix not in chains:
                    chains[prefix] = f"{chains[name]} -> {prefix}"
                    waiting.append(prefix)
    return heavy


def circles(modules: list[Module]) -> list[str]:
    """A circle of modules that import each other, wherever in them the imports stand."""
    by_name = {module.name: module for module in modules}
    imported = {
        name: {
            target
            for found in module.imports
            if not found.for_types
            and (target := _module_of(found.name, by_name)) is not None
            and target != name
        }
        for name, module in by_name.items()
    }
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def _module_of(name: str, modules: Container[str]) -> str | None:
    """The module that an imported name is, or is in."""
    return next((each for each in (name, name.rpartition(".")[0]) if each in modules), None)


def empty_names(modules: list[Module]) -> list[str]:
    """Modules and packages whose name says nothing."""
    return [
        module.path for module in modules if BANNED_NAMES & {*module.name.lower().split(".")[1:]}
    ]


def long_files(modules: list[Module]) -> list[str]:
    """Files over the limit."""
    lengths = {module.path: len(module.source.splitlines()) for module in modules}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > MAX_LINES]


def long_functions(modules: list[Module]) -> list[str]:
    """Functions over the limit."""
    return [
        f"{module.path}:{node.lineno}: {node.name} has {length} lines"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


def crowded_folders(modules: list[Module]) -> list[str]:
    """Folders with more files than anybody reads at a glance."""
    files = Counter(
        module.path.rpartition("/")[0]
        for module in modules
        if not module.path.endswith("__init__.py")
    )
    return [f"{path}/: {count} files" for path, count in files.items() if count > MAX_FILES]


def undocumented(modules: list[Module]) -> list[str]:
    """Public functions and classes without a docstring."""
    definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [
        f"{module.path}:{node.lineno}: {node.name}"
        for module in modules
        for node in module.tree.body
        if isinstance(node, definition)
        and not node.name.startswith("_")
        and not any(ast.unparse(each).endswith("overload") for each in node.decorator_list)
        and not ast.get_docstring(node)
    ]


RULES = [
    unknown_parts,
    wrong_directions,
    foreign_libraries,
    misplaced_libraries,
    asked_kinds,
    asked_sources,
    slow_starts,
    circles,
    empty_names,
    long_files,
    long_functions,
    crowded_folders,
    undocumented,
]


@pytest.fixture(scope="module")
def package() -> list[Module]:
    """Every module of connector."""
    return [
        Module(file.relative_to(PACKAGE).as_posix(), file.read_text(encoding="utf-8"))
        for file in sorted(PACKAGE.rglob("*.py"))
    ]


@pytest.mark.parametrize("rule", RULES)
def test_connector_keeps_the_rule(rule, package):
    assert rule(package) == []


def test_the_documentation_shows_every_folder_and_every_file_beside_them(package):
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = re.findall(r"^ +([a-z_]+(?:/|\.py))(?: {2,}\S|$)", page, re.MULTILINE)
    folders = [f"{Path(module.path).parent.name}/" for module in package if "/" in module.path]
    files = [module.path for module in package if "/" not in module.path]
    assert {*folders, *files} - {*shown} == {"__init__.py", "__main__.py"}
    assert {name for name in shown if name.endswith("/")} == {*folders}
    named = re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", page)
    assert [name for name in named if not (PACKAGE / name).exists()] == [
        "tests/test_architecture.py"
    ]


def test_there_is_something_to_check(package):
    assert "connector" in {module.name for module in package}


# The rules themselves, on made-up sources: a module's path and source, then what is found.
BREAKS = {
    unknown_parts: [("sundries.py", "", "sundries.py")],
    wrong_directions: [
        ("__init__.py", "from connector import job", "connector imports connector.job"),
        ("errors.py", "from connector import config", "errors imports connector.config"),
        ("core/rows.py", "import connector.ports", "core imports connector.ports"),
        ("core/rows.py", "from ..ports import Source", "core imports connector.ports"),
        ("core/__init__.py", "from .. import job", "core imports connector.job"),
        ("core/rows.py", "import_module('connector.job')", "core imports connector.job"),
        ("ports.py", "def f():\n    import connector.job", "ports.py:2"),
        (
            "spool.py",
            "from connector.sources.dynamodb import scan",
            "spool imports connector.sources.dynamodb",
        ),
        ("destinations/sql.py", "import connector.pipeline", "destinations imports"),
        ("sources/dynamodb/scan.py", "import connector.destinations", "sources imports"),
        ("pipeline.py", "from connector.job import open_job", "pipeline imports connector.job"),
        ("job.py", "from connector import cli", "job imports connector.cli"),
        ("job.py", "import connector.destinations.duckdb.file", "job imports connector.dest"),
        ("config/model.py", "from connector import destinations", "config imports connector.dest"),
        (
            "cli/status.py",
            "import connector.sources.dynamodb.client",
            "cli imports connector.sources.dynamodb",
        ),
        ("airflow/dag.py", "from connector.cli import app", "airflow imports connector.cli"),
    ],
    foreign_libraries: [("errors.py", "import pydantic", "errors imports pydantic")],
    misplaced_libraries: [
        ("job.py", "import boto3.session", "boto3.session belongs in sources/*"),
        ("core/wire.py", "from botocore import parsers", "botocore.parsers belongs in sources/*"),
        (
            "pipeline.py",
            "from pyarrow import fs",
            "pyarrow.fs belongs in spool/*, sources/exports/*",
        ),
        ("spool.py", "import duckdb", "duckdb belongs in destinations/*"),
        (
            "cli/app.py",
            "importlib.import_module('airflow.sdk')",
            "airflow.sdk belongs in airflow/*",
        ),
        ("job.py", "import typer", "typer belongs in cli/*"),
        ("cli/app.py", "def demo():\n    import moto.server", "cli/app.py:2"),
    ],
    asked_kinds: [
        ("job.py", 'if url.kind == "duckdb":\n    pass', "job.py:1: 'duckdb' is for"),
        ("airflow/connections.py", "KINDS = ('postgres',)", "airflow/connections.py:1"),
    ],
    asked_sources: [
        ("pipeline/plan.py", 'if follow == "stream":\n    pass', "pipeline/plan.py:1: which"),
        ("cli/tail.py", 'f = table.follow in ("none", "")', "cli/tail.py:1: which"),
        ("airflow/dag.py", "match a:\n    case 'stream':\n        pass", "airflow/dag.py:2"),
        ("core/status.py", "x = {'none': None}[follow]", "core/status.py:1: which"),
        ("core/status.py", "x = {'none': None}.get(follow)", "core/status.py:1: which"),
    ],
    slow_starts: [
        ("cli/app.py", "import pyarrow as pa", "connector.cli.app -> pyarrow"),
        (
            "cli/app.py",
            "try:\n    import duckdb\nfinally:\n    pass",
            "connector.cli.app -> duckdb",
        ),
        ("cli/app.py", "class A:\n    import duckdb", "connector.cli.app -> duckdb"),
    ],
    circles: [],
    empty_names: [
        ("core/utils.py", "", "core/utils.py"),
        ("common/__init__.py", "", "common/__init__.py"),
    ],
    long_files: [("job.py", "\n" * (MAX_LINES + 1), "321 lines")],
    long_functions: [
        ("job.py", "class A:\n  def run():\n" + "    x = 1\n" * 40, "job.py:2: run has 41 lines"),
    ],
    crowded_folders: [],
    undocumented: [
        ("job.py", "def run(): ...", "job.py:1: run"),
        ("job.py", "class Job:\n    x = 1", "job.py:1: Job"),
    ],
}


@pytest.mark.parametrize(
    ("rule", "path", "source", "found"),
    [(rule, *case) for rule, cases in BREAKS.items() for case in cases],
)
def test_a_rule_finds_what_breaks_it(rule, path, source, found):
    offences = rule([Module(path, source)])
    assert len(offences) == 1
    assert found in offences[0]


@pytest.mark.parametrize(
    ("rule", "sources", "found"),
    [
        (
            circles,
            {
                "core/rows.py": "from connector.core import names",
                "core/names.py": "from connector.core.schema import Type",
                "core/schema.py": "def f():\n    from connector.core.rows import REST",
            },
            "connector.core.rows",
        ),
        (crowded_folders, {f"core/n{n}.py": "" for n in range(MAX_FILES + 1)}, "core/: 13 files"),
    ],
)
def test_a_rule_finds_what_modules_break_together(rule, sources, found):
    (offence,) = rule([Module(path, source) for path, source in sources.items()])
    assert found in offence
    assert rule([Module(path, source) for path, source in list(sources.items())[1:]]) == []


def test_every_rule_is_itself_tested():
    assert list(BREAKS) == RULES


@pytest.mark.parametrize(
    ("sources", "chain"),
    [
        (
            {"cli/app.py": "from connector.job import Job", "job.py": "import boto3"},
            "connector.cli.app -> connector.job -> boto3",
        ),
        (
            {"cli/app.py": "from ..core import names", "core/__init__.py": "import msgspec"},
            "connector.cli.app -> connector.core -> msgspec",
        ),
        (
            {
                "cli/app.py": "import connector.core.names",
                "core/names.py": "from sqlalchemy import sql",
            },
            "connector.cli.app -> connector.core.names -> sqlalchemy.sql",
        ),
    ],
)
def test_a_slow_start_is_traced_through_the_package(sources, chain):
    assert slow_starts([Module(path, source) for path, source in sources.items()]) == [chain]


KEEPS = {
    "__init__.py": '"""Connector."""\n__version__ = "0.1.0"',
    "errors.py": "import enum",
    "core/__init__.py": "",
    "core/rows.py": "import msgspec\nfrom connector.errors import Fatal\nfrom . import names",
    "core/names.py": "import re",
    "ports.py": "from connector.core import rows",
    "sources/dynamodb/scan.py": "import boto3\nfrom connector import errors\nfrom . import client",
    "sources/dynamodb/client.py": "import botocore.session",
    "spool/chains.py": "import pyarrow.fs\nfrom pyarrow import fs",
    "job.py": "from connector import pipeline, sources, spool\n"
    "from connector.destinations import registry",
    "cli/app.py": """
import typer
from typing import TYPE_CHECKING
from connector import __version__, config
from connector.cli import status
if TYPE_CHECKING:
    import pyarrow
def main():
    "Run."
    import pyarrow
    from connector.job import open_job
""",
    "cli/status.py": "",
    "config/model.py": "import pydantic",
    "demo/orders.py": "from moto import server",
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_sound_modules_alone(rule):
    assert rule([Module(path, source) for path, source in KEEPS.items()]) == []
