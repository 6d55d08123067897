"""The commands of the platform's operators: `python -m ops COMMAND`.

Each module in ops/commands/ parses the arguments of one group of commands. The other packages
contain the code that the commands run.
"""
