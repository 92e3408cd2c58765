"""The command line's own failure: one message, one exit status, never a traceback."""


class CliError(Exception):
    """Ends the command with this message on stderr; status 2 is wrong usage, 1 anything else."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Unwritable(CliError):
    """Something that the command writes cannot be written."""

    def __init__(self, name: str, error: OSError, status: int = 1) -> None:
        super().__init__(f"cannot write {name}: {error.strerror}", status)
