"""The operator's commands: `python -m ops VERB`.

ops/commands/ parses the arguments, one file per group of verbs. The other packages do the work.
"""
