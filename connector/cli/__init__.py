"""The command line: flags in, results on stdout, everything else on stderr; one file a command."""
