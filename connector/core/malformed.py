"""The one signal for a value that cannot be kept as it is."""


class Malformed(ValueError):
    """A value DynamoDB cannot have stored, or that no column can hold. Its text names no data."""
