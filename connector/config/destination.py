"""The section `destination`: the keys of every destination, and those of each kind."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
)
from pydantic_core import PydanticKnownError

from connector.config.fields import Name, Seconds, Section, checked, folder_of, refuse
from connector.core.words import joined
from connector.destinations.backend import Backend, DestinationUrl
from connector.destinations.registry import BACKENDS, backend_of, parse_url

_STATE_SCHEMA = "_connector"
_CATALOGS = ("information_schema", "pg_catalog")
_ANOTHER_SCHEMA = "Name another with destination.schema, or leave it out."
_URLS = joined([url for each in BACKENDS for url in each.urls or (each.example,)])
_SCHEMAS = joined([f"{each.schema} in {each.name}" for each in BACKENDS], last="and")


def _url(value: object, info: ValidationInfo) -> DestinationUrl:
    if isinstance(value, DestinationUrl):
        return value
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return checked(lambda: parse_url(value, folder_of("destination.url", info)))


Url = Annotated[
    DestinationUrl,
    PlainValidator(_url),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]


class AnyDestination(Section):
    """The keys that every destination has."""

    url: Url = Field(description=f"{_URLS}; the only key without a default.")
    schema_: Name | None = Field(
        default=None,
        alias="schema",
        description=f"The schema of the tables; by default {_SCHEMAS}.",
    )
    lock_timeout: Seconds = Field(
        default=60.0, description="Seconds to wait while another process holds the destination."
    )

    @field_validator("schema_")
    @classmethod
    def _not_of_others(cls, name: str | None) -> str | None:
        if name and name.casefold() == _STATE_SCHEMA:
            raise refuse(f"The schema {_STATE_SCHEMA} holds the connector's own state.")
        if name and name.casefold() in _CATALOGS:
            raise refuse(f"The schema {name.casefold()} belongs to the database.", _ANOTHER_SCHEMA)
        return name

    @property
    def backend(self) -> Backend:
        """The kind of database that the url names."""
        return backend_of(self.url)

    @property
    def schema_name(self) -> str:
        """The schema that was given, or else the default of this kind of database."""
        return self.schema_ or self.backend.schema

    def check_names(self, targets: Iterable[str]) -> None:
        """Refuses names that this kind of database keeps for itself or that are too long for it."""
        reserved = self.backend.reserved_schemas
        if reserved and self.schema_name.startswith(reserved):
            raise refuse(
                f"{self.backend.name} keeps the names of schemas that begin with {reserved} "
                "for itself.",
                _ANOTHER_SCHEMA,
            )
        longest = self.backend.name_bytes
        for name in (self.schema_name, *targets):
            if longest is not None and len(name.encode()) > longest:
                raise refuse(
                    f"The name {name} is longer than the {longest} bytes that "
                    f"{self.backend.name} allows.",
                    "Give the table a shorter name with `into`.",
                )


if TYPE_CHECKING:
    DestinationConfig = AnyDestination
else:
    # A single section combines those of all kinds; each kind validates its own keys.
    DestinationConfig = create_model(
        "DestinationConfig",
        __base__=(*(each.keys for each in BACKENDS if each.keys is not Section), AnyDestination),
        __module__=__name__,
        __doc__="Where the tables go.",
    )
