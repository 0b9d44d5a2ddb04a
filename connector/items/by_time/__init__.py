"""Changes that only their times order: records of Kinesis Data Streams, and how they are folded."""
