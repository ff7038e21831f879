"""Exit status of the commands that work through many inputs."""

SOME_FAILED = 3
"""The command did its work, and some of its inputs have no result."""


def of_outcomes(*, succeeded: int, failed: int) -> int:
    """0 when no input failed, 1 when every one did, as after an error, otherwise SOME_FAILED."""
    if not failed:
        return 0
    return SOME_FAILED if succeeded else 1
