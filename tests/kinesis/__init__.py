"""Tables that are followed by a Kinesis stream."""
