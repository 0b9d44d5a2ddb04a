"""One asset for each table of a destination, so that other DAGs can be scheduled on it."""

from urllib.parse import quote

from airflow.sdk import Asset

from connector.config import Config


def table_asset(config: Config, table: str, destination_conn_id: str | None = None) -> Asset:
    """The asset of a configured table: the same in every DAG that names the same table."""
    url = config.destination.url
    place = str(url.path) if url.path else url.shown.rpartition("://")[2].rpartition("@")[2]
    parts = (destination_conn_id or place, config.destination.schema_name, config.target(table))
    path = "/".join(quote(part.strip("/"), safe="/:,") for part in parts)
    # Airflow refuses two assets with one name or one URI, so both come from the same three parts.
    return Asset(name=f"connector/{path}", uri=f"x-connector://{path}", group="connector")
