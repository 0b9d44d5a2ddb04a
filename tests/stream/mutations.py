"""Proof that the tests bite: without one of five parts of the protocol, a named test fails.

`python -m tests.stream.mutations` takes each part out of a copy of the package, and runs the test.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("connector", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Mutation:
    """A part that is taken out: what stands in which file, what takes its place, who notices."""

    part: str
    file: str
    before: str
    after: str
    test: str


MUTATIONS = (
    Mutation(
        part="the fold",
        file="core/fold.py",
        before="self._newest[key] = (partition, record)",
        after="self._newest[*key, str(self.counts.read)] = (partition, record)",
        test="test_matrix_records.py::test_43_insert_modify_remove_insert_in_one_batch",
    ),
    Mutation(
        part="the parent gate",
        file="core/shards.py",
        before="if not cursor.done and _parent_is_past(cursor, cursors)",
        after="if not cursor.done",
        test="test_known_bugs.py::test_b3_parent_and_child_are_not_read_in_parallel",
    ),
    Mutation(
        part="the proof of a shard's end",
        file="dynamodb/streams.py",
        before="ended = closed and self._nothing_after(shard, replace(since, token=token))",
        after="ended = True",
        test="test_matrix_topology.py::test_25_a_missing_iterator_of_an_open_shard",
    ),
    Mutation(
        part="the tombstones",
        file="destinations/state.py",
        before="        keys: Any = sa.select(\n",
        after="        return\n        keys: Any = sa.select(\n",
        test="test_matrix_scan.py::test_11_items_deleted_behind_and_before_the_cursor_of_the_scan",
    ),
    Mutation(
        part="the compare-and-set",
        file="destinations/step.py",
        before="if before != span.since or span.partition in until:",
        after="if False:",
        test="test_known_bugs.py::test_b10_a_late_writer_cannot_undo_a_shards_end",
    ),
)


def mutate(root: Path, mutation: Mutation) -> None:
    """Takes a part out of a copy. Raises where the part no longer stands there, exactly once."""
    path = root / "connector" / mutation.file
    text = path.read_text()
    if text.count(mutation.before) != 1:
        raise AssertionError(f"{mutation.part}: {mutation.before!r} is not once in {mutation.file}")
    path.write_text(text.replace(mutation.before, mutation.after))


def run(mutations: tuple[Mutation, ...], tests: list[str]) -> subprocess.CompletedProcess[str]:
    """The outcome of some tests on a copy of the package without some parts."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                # With what is compiled already: only the mutated file is compiled again.
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
            else:
                shutil.copy(source, root / name)
        for mutation in mutations:
            mutate(root, mutation)
        where = "import connector, pathlib; print(pathlib.Path(connector.__file__).parents[1])"
        environment = {**os.environ, "PYTHONPATH": str(root)}
        options = {"cwd": root, "env": environment, "capture_output": True, "text": True}
        found = subprocess.run([sys.executable, "-c", where], check=True, **options)
        if Path(found.stdout.strip()).resolve() != root.resolve():
            raise AssertionError(f"the copy is not what is tested, but {found.stdout}")
        names = [f"tests/stream/{test}" for test in tests]
        plugins = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        command = [sys.executable, "-m", "pytest", "-q", "-x", *plugins, *names]
        return subprocess.run(command, check=False, **options)


def failures() -> list[str]:
    """What is wrong: a test that fails as things are, or one that does not notice a mutation."""
    tests = [mutation.test for mutation in MUTATIONS]
    jobs = [((), tests), *(((mutation,), [mutation.test]) for mutation in MUTATIONS)]
    with ThreadPoolExecutor(2) as threads:
        untouched, *mutated = threads.map(lambda job: run(*job), jobs)
    wrong = [f"unmutated: {untouched.stdout}"] if untouched.returncode else []
    for mutation, outcome in zip(MUTATIONS, mutated, strict=True):
        # 1 is "tests failed"; anything else, such as no tests found, proves nothing.
        if outcome.returncode != 1:
            wrong.append(f"without {mutation.part}, {mutation.test} says:\n{outcome.stdout}")
    return wrong


if __name__ == "__main__":
    found = failures()
    print("\n".join(found) or "\n".join(f"without {m.part}: {m.test} fails" for m in MUTATIONS))
    sys.exit(bool(found))
