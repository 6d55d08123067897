"""The operator's commands: `python -m ops VERB`. Each verb group is one file in ops/commands/; what they do lies beside it."""
