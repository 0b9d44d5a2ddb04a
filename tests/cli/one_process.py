"""Many command lines in one process, one after the other: how each of them ended, as JSON."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider

from . import ready_program


def main() -> None:
    """Runs the command lines that the first argument lists."""
    # Botocore looks for a home once, when it is imported.
    cache = str(Path("~/.aws/sso/cache").expanduser())
    SSOProvider._SSO_TOKEN_CACHE_DIR = SSOTokenProvider._SSO_TOKEN_CACHE_DIR = cache
    json.dump([_ended(line) for line in json.loads(sys.argv[1])], sys.stdout)


def _ended(line: list[str]) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        code = ready_program.app.run(line)
    return code, stdout.getvalue(), stderr.getvalue()
