"""Proof that the tests bite: without one of five parts of the protocol, a named test fails.

`python -m tests.stream.mutations` takes each part out of a copy of the package, and runs the test.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
        file="items/fold.py",
        before="self._newest[key] = (partition, change)",
        after="self._newest[*key, str(self.counts.read)] = (partition, change)",
        test="test_matrix_records.py::test_43_insert_modify_remove_insert_in_one_batch",
    ),
    Mutation(
        part="the parent gate",
        file="core/changes/shards.py",
        before="if not cursor.done and _parents_are_past(cursor, cursors)",
        after="if not cursor.done",
        test="test_known_bugs.py::test_b3_parent_and_child_are_not_read_in_parallel",
    ),
    Mutation(
        part="the proof of a shard's end",
        file="sources/dynamodb/streams.py",
        before="ended = closed and self._nothing_after(shard, replace(since, token=token))",
        after="ended = True",
        test="test_matrix_topology.py::test_25_a_missing_iterator_of_an_open_shard",
    ),
    Mutation(
        part="the tombstones",
        file="destinations/state/tombstones.py",
        before="        keys: Any = sa.select(\n",
        after="        return\n        keys: Any = sa.select(\n",
        test="test_matrix_scan.py::test_11_items_deleted_behind_and_before_the_cursor_of_the_scan",
    ),
    Mutation(
        part="the compare-and-set",
        file="destinations/commits/step.py",
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


def copied(into: Path) -> None:
    """Copies the package and its tests."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            # With what is compiled already: only the mutated file is compiled again.
            shutil.copytree(source, into / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, into / name)


def run(jobs: list[tuple[str, list[str]]]) -> list[tuple[int, str]]:
    """The exit code of some tests on each copy, and what they said."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("mutants.py"))]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr)
    outcomes = json.loads(done.stdout)
    return [tuple(outcomes[root]) for root, _ in jobs]


def failures(mutations: Sequence[Mutation] = MUTATIONS) -> list[str]:
    """What is wrong: a test that fails as things are, or one that does not notice a mutation."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        jobs = []
        for number, mutation in enumerate((None, *mutations)):
            root = Path(folder, str(number))
            copied(root)
            if mutation:
                mutate(root, mutation)
            wanted = [mutation] if mutation else mutations
            jobs.append((str(root), [f"tests/stream/{each.test}" for each in wanted]))
        (code, said), *mutated = run(jobs)
    wrong = [f"unmutated: {said}"] if code else []
    for mutation, (code, said) in zip(mutations, mutated, strict=True):
        # 1 is "tests failed"; anything else, such as no tests found, proves nothing.
        if code != 1:
            wrong.append(f"without {mutation.part}, {mutation.test} says ({code}):\n{said}")
    return wrong


if __name__ == "__main__":
    found = failures()
    print("\n".join(found) or "\n".join(f"without {m.part}: {m.test} fails" for m in MUTATIONS))
    sys.exit(bool(found))
