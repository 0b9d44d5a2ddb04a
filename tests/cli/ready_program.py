"""Imports what a run of the program imports, and reads the files of botocore that it reads."""

from botocore.credentials import Credentials

from connector import job
from connector.cli import app
from connector.cli.runs import results
from connector.cli.screen import live, output
from connector.config.model import SourceConfig
from connector.pipeline import verify
from connector.sources.dynamodb.client import open_clients

__all__ = ["app", "job", "live", "output", "results", "verify"]

open_clients(SourceConfig(region="us-west-2"), credentials=Credentials("none", "none"))
