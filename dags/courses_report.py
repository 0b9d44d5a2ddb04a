"""An example: a DAG that asks the table `courses` a question whenever it has changed."""

from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

from connector import job
from connector.airflow.assets import table_asset
from connector.airflow.names import pool_of
from connector.config.loading import load_each

TABLE = "cloudacademy-courses"
# A mistake in the section of another table is none of this DAG: connector_dags.py reports it.
CONFIG, _ = load_each(Path(__file__).with_name("connector.yaml"))
# With tables of your own in connector.yaml there is nothing to report on, and no such DAG.
COURSES = table_asset(CONFIG, TABLE) if TABLE in CONFIG.tables else None

LONGEST = "select title, duration from courses order by duration desc limit 3"


@dag(schedule=[COURSES] if COURSES else None, catchup=False, max_active_runs=1, tags=["example"])
def courses_report() -> None:
    """Every load and every tail tells the asset what it did."""

    @task.short_circuit
    def changed(triggering_asset_events: Any = None) -> bool:
        """Goes on where rows of a loaded table have changed, or where a person started this."""
        events = triggering_asset_events[COURSES]
        told = [event.extra for event in events]
        return not told or any(each["phase"] == "tailing" and each["changed"] for each in told)

    # One process at a time may write a DuckDB file; readers wait for their turn in the same pool.
    @task(pool=pool_of(CONFIG.destination.url.path))
    def longest() -> None:
        """The three longest courses, in the task's log."""
        for course in job.open_destination(CONFIG).query(LONGEST).to_pylist():
            print(course["duration"], course["title"])

    changed() >> longest()


if COURSES:
    courses_report()
