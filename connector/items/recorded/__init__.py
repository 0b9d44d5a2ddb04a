"""Every change of a round, kept as rows of a log and as versions of a history."""
