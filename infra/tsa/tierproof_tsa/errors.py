"""What can go wrong in the time-stamp authority, said so that an operator can mend it."""


class TsaError(Exception):
    """Base of every error of the authority."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class NotConfigured(TsaError):
    """A setting that the authority cannot do without."""


class UnusableIdentity(TsaError):
    """Key or certificate is missing, read by others, expired, or they do not belong together."""


class StateUnusable(TsaError):
    """The file that remembers the last time given out is damaged, or another authority holds it."""


class ClockWentBack(TsaError):
    """The clock stands before a time that was given out already; a token now would break the order."""
