"""The stream, read shard by shard and committed round by round."""
