"""python -m tests.airflow.ready_airflow FOLDER: has imported Airflow, and becomes its command line.

FOLDER gets a program `airflow` that a shell finds by its PATH. Each use of it is a process of its
own, with the folder, environment and streams of that use; only the seconds of imports are spent
once. What stays, such as the scheduler, is started as usual.
"""

import ast
import atexit
import gc
import importlib
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import configure_mappers

STAYS = ("api-server", "scheduler", "dag-processor", "triggerer", "celery")
NAME = "airflow"
SOCKET = "ready"
# Imported by Airflow when a command is used.
LATE = (
    "airflow.cli.commands.connection_command",
    "airflow.cli.commands.dag_command",
    "airflow.cli.commands.db_command",
    "airflow.cli.commands.jobs_command",
    "airflow.cli.commands.pool_command",
    "airflow.cli.commands.task_command",
    "airflow.dag_processing.dagbag",
    "airflow.migrations.db_types",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.serialization.serialized_objects",
    "alembic.command",
    "alembic.config",
)
# It imports next to nothing, so that it takes no time of its own.
ASKS = """#!{python} -IS
import os, socket, sys
if sys.argv[1] in {stays}:
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({path!r})
    socket.send_fds(asked, [repr((os.getcwd(), dict(os.environ), sys.argv)).encode()], [0, 1, 2])
    asked.shutdown(socket.SHUT_WR)
    sys.exit(int(asked.recv(16)))
"""


def main(folder: Path) -> None:
    """Waits for uses, one at a time, until it is ended."""
    real = shutil.which(NAME)
    command = importlib.import_module("airflow.__main__")
    command.cli_parser.get_parser()
    for name in LATE:
        importlib.import_module(name)
    importlib.import_module("airflow.models").import_all_models()
    configure_mappers()
    # Else each use would copy what it looks through for garbage.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(str(folder / SOCKET))
        waiting.listen()
        program = folder / NAME
        path = str(folder / SOCKET)
        program.with_suffix(".new").write_text(
            ASKS.format(python=sys.executable, stays=STAYS, real=real, path=path)
        )
        program.with_suffix(".new").chmod(0o755)
        program.with_suffix(".new").rename(program)
        while True:
            asked = waiting.accept()[0]
            with asked:
                used = _received(asked)
                child = os.fork()
                if child == 0:
                    break
                for number in used[1]:
                    os.close(number)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                asked.sendall(str(code).encode())
    _become(*used)
    _end_with(command.main)


def _received(asked: socket.socket) -> tuple[bytes, list[int]]:
    """What is to be run, and its three streams."""
    text, streams, _, _ = socket.recv_fds(asked, 65536, 3)
    while more := asked.recv(65536):
        text += more
    return text, streams


def _end_with(run: Callable[[], object]) -> None:
    """Runs it and ends the process, without the second that taking Airflow apart would take."""
    try:
        run()
        code: object = 0
    except SystemExit as end:
        code = end.code or 0
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(text: bytes, streams: list[int]) -> None:
    folder, environment, arguments = ast.literal_eval(text.decode())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv[:] = arguments


if __name__ == "__main__":
    main(Path(sys.argv[1]))
