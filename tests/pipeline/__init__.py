"""The steps of the pipeline against the scripted server, with real botocore and real DuckDB."""
