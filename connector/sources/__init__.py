"""Where tables are read from: a folder for each way in."""
