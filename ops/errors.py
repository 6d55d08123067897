"""Errors that a command reports without a traceback."""


class OperatorError(Exception):
    """A failure whose message states the problem and the remedy. The command exits with status
    1.
    """


class InterruptedRunError(Exception):
    """The operator interrupted a command that is safe to repeat. The command exits with status
    130.
    """
