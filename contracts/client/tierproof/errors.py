"""What can go wrong for a producer or consumer; each says what mends it."""


class ClientError(Exception):
    """Base of every error of the SDK."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class NotReachable(ClientError):
    """The broker cannot be reached, or JetStream is not set up."""


class NotPermitted(ClientError):
    """The broker does not let this user say or hear that."""

    def __init__(self, subject: str, user: str) -> None:
        super().__init__(f"{user} may not use {subject}: take the credentials of the tenant or role that may")
        self.subject, self.user = subject, user


class TooLarge(ClientError):
    """A submission above the limit; sizes in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the task has {size} bytes, but the limit is {limit}: send less text")
        self.size, self.limit = size, limit


class BadTask(ClientError):
    """A submission that does not fit its contract; the message names the field."""


class AlreadySubmitted(ClientError):
    """The idempotency key was used for another task."""

    def __init__(self, task_id: str, differs: str) -> None:
        super().__init__(f"{task_id} was submitted before with another {differs}: use another key, or the same content")
        self.task_id = task_id


class NotYet(ClientError):
    """The task has no released outcome within the time-out. It goes on; ask again."""


class NoAnswer(ClientError):
    """The ledger did not answer a question."""


class RefusedByLedger(ClientError):
    """The ledger understood the question and has no answer to it; `code` as in the questions contract."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
