"""The commands of the platform's operators: `python -m ops COMMAND`.

ops/commands/ has one module per group of commands, which parses the arguments. The other packages
do the work.
"""
