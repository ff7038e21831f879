"""An attempt to send a message that failed, and whether another one is worth it."""


class NotSent(Exception):
    """A message was not taken.

    is_final: it would be refused again. concerns_all: so would every other message of the channel,
    now. retry_after: seconds that the receiver asks to wait for.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_final: bool = False,
        concerns_all: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.reason = reason
        self.is_final = is_final
        self.concerns_all = concerns_all
        self.retry_after = retry_after
        super().__init__(reason)
