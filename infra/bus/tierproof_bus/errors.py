"""What can go wrong between a service and its broker, said so that an operator can mend it."""


class BusError(Exception):
    """Base of every error of the bus. Its words name subjects, streams and sizes, never what a message says."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class Transient(BusError):
    """Something that may work later: the message comes again after a growing delay."""


class NotSetUp(BusError):
    """A stream or consumer is missing, or a setting that the service cannot do without."""


class NotDurable(BusError):
    """The broker acknowledges messages before they are on disk."""


class WouldLose(BusError):
    """A change of a stream or consumer that would lose or replay messages; a person has to decide it."""


class Refused(BusError):
    """The broker understood a request and refused it for good."""


class Misdirected(BusError):
    """A message lies on a subject that its own words do not lead to, so nobody vouches for its sender."""


class UntrustedDocument(BusError):
    """A document without a valid signature of a trusted signer, or with another digest than its name says."""


class TooLarge(BusError):
    """A message above the broker's limit; sizes in bytes."""

    def __init__(self, subject: str, size: int, limit: int) -> None:
        super().__init__(f"{subject}: {size} bytes, but the broker takes {limit}; send less, or raise max_payload")
        self.subject, self.size, self.limit = subject, size, limit


class NotPermitted(BusError):
    """The broker does not let this user say that."""

    def __init__(self, subject: str, user: str) -> None:
        super().__init__(f"user {user!r} may not publish to {subject!r}; topology.py says who may")
        self.subject, self.user = subject, user
