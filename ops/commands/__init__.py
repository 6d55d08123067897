"""The command line. Each module parses arguments, calls another package and prints the result."""
