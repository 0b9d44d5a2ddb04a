"""Imports what a run of the program imports, and reads the files of botocore that it reads."""

from botocore.credentials import Credentials

from connector import job
from connector.cli import app, live, output, results
from connector.config import Source
from connector.dynamodb.client import open_clients
from connector.pipeline import verify

__all__ = ["app", "job", "live", "output", "results", "verify"]

open_clients(Source(region="us-west-2"), credentials=Credentials("none", "none"))
