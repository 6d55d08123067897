"""The command line: each module parses arguments, calls another package, prints the result."""
