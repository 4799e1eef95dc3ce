"""What can be wrong with a proof."""


class ProofError(Exception):
    """Base of every refusal of a proof, a note, a key or a document."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong."""
        return str(self)


class Malformed(ProofError):
    """Bytes that are not in the format that their specification demands."""


class NotVerified(ProofError):
    """A well-formed claim that is not true, or that nobody who is trusted has made."""


class UnusableKey(ProofError):
    """A key file that cannot be trusted: wrong content, or readable by others."""
