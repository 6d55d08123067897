"""Errors that a command reports without a traceback."""


class OperatorError(Exception):
    """A failure whose message says what happened and what to do. Exit status 1."""


class InterruptedRunError(Exception):
    """The operator interrupted the command. Running it again resumes the work. Exit status 130."""
