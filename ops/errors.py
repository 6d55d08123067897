"""What an operator's command reports instead of a traceback."""


class OperatorError(Exception):
    """Something the operator can act on: the message says what happened and what to do. Exit status 1."""


class InterruptedRunError(Exception):
    """The operator stopped the command; what was begun has been left in a state the next run continues from. Exit status 130.

    Args:
        state_stored: whether Terraform stored its state before it ended; False when what was in flight was given up.
    """

    def __init__(self, message: str, *, state_stored: bool = True) -> None:
        super().__init__(message)
        self.state_stored = state_stored
