"""What an operator's command reports instead of a traceback."""


class OperatorError(Exception):
    """Something the operator can act on: the message says what happened and what to do. Exit status 1."""


class InterruptedRunError(Exception):
    """The operator stopped the command; the same command continues. Exit status 130."""
