"""The commands of the platform's operators: `python -m ops COMMAND`.

ops/commands/ parses the arguments, one file per group of commands. The other packages run them.
"""
