"""The types of configuration values, and the base class of the sections."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from connector.config.aws_names import check_kinesis_arn, check_region
from connector.config.urls import check_exports, spool_location
from connector.errors import ConfigError

_ARN = re.compile(r"arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/(?P<name>.*)", re.DOTALL)
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", re.IGNORECASE)
_VERSION = re.compile(r"v?(?P<major>[0-9]+)(\.(?P<minor>[0-9]+))?(\.[0-9]+)?")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")

T = TypeVar("T")


def refuse(problem: str, hint: str = "", key: str = "") -> PydanticCustomError:
    """The error for a validator to raise about a value, or about a `key` in a section."""
    context = {"problem": problem, "hint": hint, "key": key}
    return PydanticCustomError("refused", "{problem}", context)


def checked(check: Callable[[], T]) -> T:
    """Runs a check inside a validator, so that its error names the key."""
    try:
        return check()
    except ConfigError as error:
        raise refuse(error.message, error.hint) from None


def folder_of(key: str, info: ValidationInfo) -> Path:
    """The folder that a relative path under `key` starts from."""
    folders: Mapping[str, Path] = info.context or {}
    return folders.get(key, Path())


def _spool(value: str, info: ValidationInfo) -> str:
    return checked(lambda: spool_location(value, folder_of("spool", info)))


def _exports(value: str) -> str:
    checked(lambda: check_exports(value))
    return value


def _kinesis(arn: str) -> str:
    return checked(lambda: check_kinesis_arn(arn))


def no_switch(value: object) -> object:
    """Refuses true and false, which pydantic would accept as 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


def _source_table(name: str) -> str:
    arn = _ARN.fullmatch(name)
    if not _TABLE.fullmatch(arn["name"] if arn else name):
        raise refuse(
            "This is not the name of a DynamoDB table.",
            "A name is 3 to 255 of A-Z a-z 0-9 _ . - (or the table's ARN).",
        )
    return name


def _storable(name: str) -> str:
    if not name.isprintable():
        raise refuse("A name must not hold control characters.")
    return name


def minor_version(value: object) -> object:
    """`1.4` for v1.4.2, 1.4.0 and YAML's number 1.4; anything else unchanged."""
    found = _VERSION.fullmatch(str(value))
    return f"{found['major']}.{found['minor'] or 0}" if found else value


def _size(text: str) -> str:
    if not _SIZE.fullmatch(text):
        raise refuse("This must be a size, for example 4GB.")
    return text


def _listed(value: object) -> object:
    """The parts of a text with commas, which the environment has instead of a list."""
    if isinstance(value, str):
        return [part for part in map(str.strip, value.split(",")) if part]
    return value


def _regions(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise refuse("This must be a list of Regions.", "Write [us-west-2, ap-southeast-2].")
    for name in value:
        checked(lambda name=name: check_region(name))  # type: ignore[misc]
        if list(value).count(name) > 1:
            raise refuse(f"{name} is listed twice.", "List each Region once, first choice first.")
    return tuple(value)


Text = Annotated[str, Field(min_length=1)]
Regions = Annotated[
    tuple[str, ...],
    BeforeValidator(_regions),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
Name = Annotated[str, Field(min_length=1), AfterValidator(_storable)]
Count = Annotated[int, Field(ge=1), BeforeValidator(no_switch)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(no_switch)]
Seconds = Positive
Size = Annotated[str, AfterValidator(_size)]
Segments = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(no_switch)]
Threads = Annotated[int, Field(ge=1, le=1024), BeforeValidator(no_switch)]
Columns = Annotated[int, Field(ge=1, le=1500), BeforeValidator(no_switch)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(no_switch)]
Records = Annotated[int, Field(ge=0), BeforeValidator(no_switch)]
SourceTable = Annotated[str, AfterValidator(_source_table)]
KinesisArn = Annotated[str, AfterValidator(_kinesis)]
ExportsUrl = Annotated[str, AfterValidator(_exports)]
Spool = Annotated[str, AfterValidator(_spool)]


class Section(BaseModel):
    """A section of the configuration: frozen, with no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: object) -> object:
        # A key without a value (`orders:`) stands for its default.
        known = cls.keys()
        if isinstance(data, Mapping):
            return {k: v for k, v in data.items() if v is not None or k not in known}
        return {} if data is None else data

    @classmethod
    def keys(cls) -> list[str]:
        """The section's keys, as a file writes them."""
        return [field.alias or name for name, field in cls.model_fields.items()]
