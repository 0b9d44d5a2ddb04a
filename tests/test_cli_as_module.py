"""`python -m connector.cli` does what `connector` does."""

import json
import subprocess
import sys


def test_json_is_json(tmp_path):
    command = [sys.executable, "-m", "connector.cli", "status", "--output", "json"]
    done = subprocess.run(
        [*command, "--to", f"duckdb:///{tmp_path}/a.duckdb"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
