"""Every error that Quantum Forge raises on purpose, each telling the user what to do next."""


class QuantumForgeError(Exception):
    """Base of all errors of this project; its text is one line for a person.

    `exit_status` is what the command line exits with.
    """

    exit_status = 1
