"""One asset for each table of a destination, so that other DAGs can be scheduled on it."""

from urllib.parse import quote

from airflow.sdk import Asset

from connector.config.model import Config


def table_asset(config: Config, table: str, destination_conn_id: str | None = None) -> Asset:
    """The asset of a configured table: the same in every DAG that names the same table."""
    url = config.destination.url
    table_of = (config.destination.schema_name, config.target(table))
    # Airflow refuses two assets with the same name or URI, so files of one name must differ here.
    return Asset(
        name=_path(destination_conn_id or url.name, *table_of),
        uri=f"x-connector://{_path(destination_conn_id or url.place, *table_of)}",
        group="connector",
    )


def _path(*parts: str) -> str:
    return "/".join(quote(part.strip("/"), safe="/:,") for part in parts)
