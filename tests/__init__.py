"""The tests, and the rigs they use."""
