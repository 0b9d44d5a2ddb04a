"""Imports what a run of the program imports, and reads the files of botocore that it reads."""

from botocore.credentials import Credentials

from connector import cli, cli_commands
from connector.config import Source
from connector.dynamodb.client import open_clients

__all__ = ["cli", "cli_commands"]

open_clients(Source(region="us-west-2"), credentials=Credentials("none", "none"))
