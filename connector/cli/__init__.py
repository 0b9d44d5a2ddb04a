"""The command line: flags in, results on stdout, everything else on stderr. A file is a verb."""
