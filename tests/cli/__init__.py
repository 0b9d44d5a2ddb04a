"""The command line as users meet it: a process, its exit code, its stdout and its stderr."""
