"""Imports what a run of the program imports, and reads the files of botocore that it reads."""

import functools
import importlib
import io
import pkgutil

import typer.main
from botocore.credentials import Credentials
from rich.console import Console
from rich.table import Table

import connector
from connector.cli import app
from connector.config.model import SourceConfig
from connector.sources.dynamodb.client import open_clients
from tests.rigs import botocore_once

__all__ = ["app"]

# Imported by functions, ours and those of libraries, when they are called.
LATE = (
    "adbc_driver_postgresql.dbapi",
    "encodings.idna",
    "encodings.utf_8_sig",
    "importlib.readers",
    "pyarrow.dataset",
    "pydantic.type_adapter",
    "pytz",
    "typer._adapters",
    "typer._click.decorators",
)
OURS = (found.name for found in pkgutil.walk_packages(connector.__path__, "connector."))

for name in (*OURS, *LATE):
    if not name.startswith("connector.airflow"):
        importlib.import_module(name)
# The commands and their flags are found out from the same functions each time.
typer.main.get_command = functools.cache(typer.main.get_command)
typer.main.get_command(app.app)
botocore_once.install()
open_clients(SourceConfig(region="us-west-2"), credentials=Credentials("none", "none"))
Console(file=io.StringIO()).print(Table("column"))
