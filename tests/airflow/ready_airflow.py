"""python -m tests.airflow.ready_airflow FOLDER: has imported Airflow, and becomes its command line.

FOLDER gets the programs `airflow` and `connector`, which a shell finds by its PATH. Each use is a
process of its own, with its own folder, environment and streams; only the seconds of imports are
spent once. What stays, such as the scheduler, is in the session of this process and ends with
it. Its tasks are forks of it, and so have imported what a task needs.
"""

import ast
import atexit
import gc
import importlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import configure_mappers

STAYS = ("api-server", "scheduler", "dag-processor")
NAME = "airflow"
OURS = "connector"
SOCKET = "ready"
# Imported by Airflow when a command is used.
LATE = (
    "airflow.cli.commands.api_server_command",
    "airflow.cli.commands.connection_command",
    "airflow.cli.commands.dag_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.db_command",
    "airflow.cli.commands.jobs_command",
    "airflow.cli.commands.pool_command",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.task_command",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.manager",
    "airflow.dag_processing.processor",
    "airflow.executors.local_executor",
    "airflow.jobs.dag_processor_job_runner",
    "airflow.jobs.scheduler_job_runner",
    "airflow.migrations.db_types",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.serialization.serialized_objects",
    "alembic.command",
    "alembic.config",
    "connector.airflow.factory",
    "connector.airflow.steps",
)
# It imports next to nothing, so that it takes no time of its own.
ASKS = """#!{python} -IS
import os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({path!r})
    socket.send_fds(asked, [repr((os.getcwd(), dict(os.environ), sys.argv)).encode()], [0, 1, 2])
    asked.shutdown(socket.SHUT_WR)
    sys.exit(int(asked.recv(16) or 1))
"""


def main(folder: Path) -> None:
    """Waits for uses, one at a time, until it is ended."""
    run = {NAME: _airflow(), OURS: _connector()}
    # Else each use would copy what it looks through for garbage.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(str(folder / SOCKET))
        waiting.listen()
        for name in (OURS, NAME):
            _add_program(folder, name)
        while True:
            asked = waiting.accept()[0]
            with asked:
                used = _received(asked)
                child = os.fork()
                if child == 0:
                    # Who asked hears of an end that nobody waits for by the end of the connection.
                    asked.detach()
                    break
                for number in used[1]:
                    os.close(number)
                if not _stays(used[0]):
                    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                    asked.sendall(str(code).encode())
    _become(*used)
    _end_with(run[Path(sys.argv[0]).name])


def _airflow() -> Callable[[], object]:
    command = importlib.import_module("airflow.__main__")
    # As the first command in a home does: it writes secrets there, which later processes share.
    command.configuration.write_default_airflow_configuration_if_needed()
    command.cli_parser.get_parser()
    for name in LATE:
        importlib.import_module(name)
    importlib.import_module("airflow.models").import_all_models()
    configure_mappers()
    run: Callable[[], object] = command.main
    return run


def _connector() -> Callable[[], object]:
    run: Callable[[], object] = importlib.import_module("tests.cli.ready_program").app.main
    return run


def _add_program(folder: Path, name: str) -> None:
    program = folder / name
    new = program.with_suffix(".new")
    new.write_text(ASKS.format(python=sys.executable, path=str(folder / SOCKET)))
    new.chmod(0o755)
    new.rename(program)


def _stays(text: bytes) -> bool:
    _, _, arguments = ast.literal_eval(text.decode())
    return arguments[1:2] != [] and arguments[1] in STAYS


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
