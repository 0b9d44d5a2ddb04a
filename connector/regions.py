"""In which Region a table is read: where it was planned, or else where the configuration begins."""

from connector.config.aws_names import check_region
from connector.config.model import Config
from connector.errors import ConfigError, elsewhere


def begins_in(config: Config, table: str) -> str | None:
    """The Region in which a table is first read; None where boto3's own chain knows it.

    An ARN has it in itself, which counts if that Region is configured.
    """
    source = config.source
    own = _of_arn(table)
    return own if source.regions and own in source.choices else source.home


def followed(config: Config, table: str, planned: str | None, arn: str = "") -> Config:
    """The configuration with the source in the Region that a table was planned in, if it was.

    An earlier version has not stored that, but the `arn`. Raises ConfigError if the Region is
    neither source.region nor one of source.regions.
    """
    source = config.source
    if not source.regions:
        # The source itself refuses a table that was planned elsewhere.
        return config
    own = _of_arn(table)
    if own is not None and not planned and own not in source.choices:
        raise ConfigError(
            f"The table {table} is in {own}, which source.regions does not list.",
            f"Add {own} to source.regions.",
        )
    if planned and planned not in source.choices:
        raise elsewhere(table, planned, " and ".join(source.choices))
    return config.in_region(planned or begins_in(config, arn or table))


def moved(config: Config, region: str) -> Config:
    """The configuration with the source in a Region. Raises ConfigError for one not in it."""
    try:
        check_region(region)
    except ConfigError as error:
        raise ConfigError(f"--region: {error.message}", error.hint) from None
    listed = config.source.choices
    if region not in listed:
        only = f": it lists {', '.join(listed)}" if listed else ""
        regions = f"[{', '.join((*listed, region))}]" if listed else "its own Region and this one"
        raise ConfigError(
            f"{region} is not one of source.regions{only}.",
            f"If the table has a replica there, set source.regions to {regions}, and leave it so: "
            "later runs follow the table to its new Region.",
        )
    return config.in_region(region)


def _of_arn(table: str) -> str | None:
    parts = table.split(":")
    return parts[3] if table.startswith("arn:") and len(parts) > 3 else None
