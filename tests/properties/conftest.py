"""Credentials and service models, as the tests of the pipeline have them."""

from tests.pipeline.conftest import aws

__all__ = ["aws"]
