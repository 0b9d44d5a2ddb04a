"""A replica of a fresh scripted table with a contract, on each kind of destination."""

from tests.pipeline.conftest import aws, rig  # noqa: F401
from tests.rules.conftest import Made, hash_key, make, tmp_path  # noqa: F401
