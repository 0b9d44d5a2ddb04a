"""A replica of a fresh scripted table, on each kind of destination."""

from tests.pipeline.conftest import aws, rig  # noqa: F401
from tests.rules.conftest import make  # noqa: F401
