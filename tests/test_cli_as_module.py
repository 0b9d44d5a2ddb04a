"""`python -m connector` does what `connector` does, and `python -m connector.cli` as well."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["connector", "connector.cli"])
def test_json_is_json(tmp_path, module):
    command = [sys.executable, "-m", module, "status", "--output", "json"]
    done = subprocess.run(
        [*command, "--to", f"duckdb:///{tmp_path}/a.duckdb"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
