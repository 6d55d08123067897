"""The operator's commands: `python -m ops COMMAND`.

ops/commands/ parses the arguments, one file per group of commands. The other packages do the work.
"""
