"""Creates the Airflow DAGs of each table of the connector.yaml beside this file."""

from datetime import timedelta
from pathlib import Path

from connector.airflow.factory import connector_dags

DAGS = connector_dags(
    Path(__file__).with_name("connector.yaml"),
    # The Airflow connection to read DynamoDB with; None uses AWS's own variables.
    aws_conn_id="aws_default",
    every=timedelta(minutes=5),
)

# Airflow finds DAGs that are attributes of this module.
globals().update({dag.dag_id: dag for dag in DAGS})
