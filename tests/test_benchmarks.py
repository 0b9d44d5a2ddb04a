"""The benchmarks run, and docs/performance.md says what the kept figures say."""

import json
import subprocess
import sys
from pathlib import Path

from tests.rigs.combinations import turn

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"
SMALL = ["--items", "500", "--rounds", "1", "--shapes", "flat", "--destinations", "duckdb"]


def run(*arguments: str) -> str:
    """What a module of the benchmarks prints."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_small_run_checks_its_tables_and_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    # Each runs the program in a rig of the same kind: by turns one of them.
    ran = turn(["snapshots", "tails", "kinesis"], 1)
    parts = ["decoding", *ran]
    shown = run("benchmarks", *SMALL, "--only", ",".join(parts), "--json", str(file))
    figures = json.loads(file.read_text())
    assert list(figures) == ["machine", *parts]
    assert figures["decoding"][0]["ratio"] > 0
    for part in ran:
        assert figures[part][0]["rate"] > 0
    assert shown.count("duckdb") >= len(ran)


def test_the_page_is_made_of_the_kept_figures() -> None:
    page = run("benchmarks.page", str(FIGURES))
    assert page == (ROOT / "docs" / "performance.md").read_text()
    assert "<!--" not in page
