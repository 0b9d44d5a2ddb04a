"""One asset for each table in a destination, so that other DAGs can be scheduled on it."""

from urllib.parse import quote

from airflow.sdk import Asset

from connector.config.model import Config


def table_assets(config: Config, table: str, destination_conn_id: str | None = None) -> list[Asset]:
    """The assets of all targets of a configured table, in their order."""
    return [
        table_asset(config, table, destination_conn_id, target) for target in config.targets(table)
    ]


def table_asset(
    config: Config,
    table: str,
    destination_conn_id: str | None = None,
    target: str | None = None,
) -> Asset:
    """The asset of a configured table: the same in every DAG that names the same table.

    `target` is one of several that its routes lead to.
    """
    url = config.destination.url
    table_of = (config.destination.schema_name, target or config.target(table))
    # Airflow refuses two assets with the same name or URI, so files of one name must differ here.
    return Asset(
        name=_path(destination_conn_id or url.name, *table_of),
        uri=f"x-connector://{_path(destination_conn_id or url.place, *table_of)}",
        group="connector",
    )


def _path(*parts: str) -> str:
    return "/".join(quote(part.strip("/"), safe="/:,") for part in parts)
