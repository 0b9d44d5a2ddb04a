"""What a process that waited does: one command line, or many and how each ended, as JSON."""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider
from botocore.utils import ContainerMetadataFetcher

from .ready_program import app
from .spare_duckdb import spare
from .warm import warm

warm(app.run)


def alone() -> None:
    """Runs the command line of this process, as the program does."""
    _at_home()
    app.main()


def main() -> None:
    """Runs the command lines that the first argument lists."""
    _at_home()
    # A container is asked three times all the same, without a second between.
    ContainerMetadataFetcher.SLEEP_TIME = 0
    json.dump([_ended(line) for line in json.loads(sys.argv[1])], sys.stdout)
    sys.stdout.flush()
    # As the program itself does: to take the interpreter apart costs more than most lines.
    os._exit(0)


def imports() -> None:
    """Runs a command line; says which modules it imported, and if a DuckDB still waits."""
    before = set(sys.modules)
    _at_home()
    code, _, stderr = _ended(sys.argv[1:])
    new = sorted({*sys.modules} - before)
    json.dump({"code": code, "stderr": stderr, "new": new, "spare": spare.waits}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def _at_home() -> None:
    # Botocore looks for a home once, when it is imported, and that was in another process.
    cache = str(Path("~/.aws/sso/cache").expanduser())
    SSOProvider._SSO_TOKEN_CACHE_DIR = SSOTokenProvider._SSO_TOKEN_CACHE_DIR = cache


def _ended(line: list[str]) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        code = app.run(line)
    return code, stdout.getvalue(), stderr.getvalue()
