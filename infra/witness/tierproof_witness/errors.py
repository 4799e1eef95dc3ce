"""What can go wrong in the witness, said so that an operator can mend it."""


class WitnessError(Exception):
    """Base of every error of the witness."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class NotConfigured(WitnessError):
    """A setting that the witness cannot do without."""


class LogsUnreadable(WitnessError):
    """The file of accepted log keys is missing, or a line of it is no key."""


class StoreUnusable(WitnessError):
    """The store cannot be read or written; nothing is cosigned then."""


class MemoryLost(WitnessError):
    """Keys without their store: a witness that forgot what it cosigned could be led to cosign a fork."""


class CannotListen(WitnessError):
    """Address or port are taken, or not ours."""
