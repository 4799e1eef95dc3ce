"""What can go wrong in the ledger, said so that an operator can mend it."""


class LedgerError(Exception):
    """Base of every error of the ledger. Its words name tables, sequences and ids, never texts."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class Corrupted(LedgerError):
    """The stored ledger contradicts itself; nothing may be appended to it."""


class Deposed(LedgerError):
    """Another sequencer has taken office."""


class NotInOffice(LedgerError):
    """This process is not the sequencer now, and may not append."""


class NotConfigured(LedgerError):
    """A setting that the ledger cannot do without."""


class StreamLost(LedgerError):
    """The broker does not deliver any more: a consumer is gone, or the connection hangs."""


class TextUnreadable(LedgerError):
    """A sealed text cannot be opened: its key was erased, or it was altered."""


class MigrationRefused(LedgerError):
    """A migration that was applied is not the one in the folder, or one is missing."""
