"""An example: a DAG that queries the table `courses` whenever it has changed."""

from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

from connector import job
from connector.airflow.assets import table_asset
from connector.airflow.names import pool_of
from connector.config.loading import load_each

TABLE = "cloudacademy-courses"
# connector_dags.py reports mistakes in the sections of other tables.
CONFIG, _ = load_each(Path(__file__).with_name("connector.yaml"))
# If connector.yaml does not list the table, there is nothing to report on, and no DAG.
COURSES = table_asset(CONFIG, TABLE) if TABLE in CONFIG.tables else None

LONGEST = "select title, duration from courses order by duration desc limit 3"


@dag(schedule=[COURSES] if COURSES else None, catchup=False, max_active_runs=1, tags=["example"])
def courses_report() -> None:
    """Runs after every load and every tail, which emit an event of the asset."""

    @task.short_circuit
    def changed(triggering_asset_events: Any = None) -> bool:
        """Whether rows of a loaded table have changed, or someone started this run by hand."""
        events = triggering_asset_events[COURSES]
        extras = [event.extra for event in events]
        return not extras or any(each["phase"] == "tailing" and each["changed"] for each in extras)

    # Only one process may write a DuckDB file at a time; readers wait their turn in the same pool.
    @task(pool=pool_of(CONFIG.destination.url.path))
    def longest() -> None:
        """The three longest courses, in the task's log."""
        for course in job.open_destination(CONFIG).query(LONGEST).to_pylist():
            print(course["duration"], course["title"])

    changed() >> longest()


if COURSES:
    courses_report()
