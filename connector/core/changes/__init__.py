"""What is told of changes: the changes themselves, and the shards that they come in."""
