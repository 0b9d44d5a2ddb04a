"""Makes the rigs known to every test."""

pytest_plugins = ["tests.rigs.fixtures"]
