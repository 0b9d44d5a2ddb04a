"""Runs tests on several copies of the package, each in a process of its own, two at a time.

Started as a script: what the program builds on is imported once, and every process begins with it.
It is told of the jobs on stdin and answers on stdout, both in JSON.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

BUILT_ON = (
    "pytest",
    "boto3",
    "duckdb",
    "msgspec.json",
    "pyarrow.compute",
    "pydantic.dataclasses",
    "pydantic.json_schema",
    "sqlalchemy.dialects.postgresql",
    "unittest.mock",
    "yaml",
)
AT_ONCE = 2
NOT_THE_COPY = 70


def start(root: str, tests: list[str]) -> int:
    """Starts the tests on one copy; what they say goes to a file in it."""
    process = os.fork()
    if process:
        return process
    code = NOT_THE_COPY
    try:
        os.chdir(root)
        said = os.open("said", os.O_CREAT | os.O_WRONLY, 0o600)
        for stream in (1, 2):
            os.dup2(said, stream)
        sys.path.insert(0, root)
        import pytest

        import connector

        if Path(connector.__file__).parents[1].resolve() == Path(root).resolve():
            plugins = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
            code = int(pytest.main(["-q", "-x", *plugins, *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        # Not to return: the parent's work is not this process's.
        os._exit(code)


def main() -> None:
    """Runs every job."""
    for name in BUILT_ON:
        importlib.import_module(name)
    jobs = json.load(sys.stdin)
    codes: dict[str, int] = {}
    running: dict[int, str] = {}
    while jobs or running:
        if jobs and len(running) < AT_ONCE:
            root, tests = jobs.pop(0)
            running[start(root, tests)] = root
            continue
        process, status = os.wait()
        codes[running.pop(process)] = os.waitstatus_to_exitcode(status)
    json.dump(
        {root: [code, Path(root, "said").read_text()] for root, code in codes.items()}, sys.stdout
    )


if __name__ == "__main__":
    main()
