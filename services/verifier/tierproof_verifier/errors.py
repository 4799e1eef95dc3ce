"""What keeps a verification from being done."""


class VerifierError(Exception):
    """Base of everything that makes an answer unverifiable; never a pass."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class InputRefused(VerifierError):
    """A named input of the task is missing or cannot be used."""

    def __init__(self, name: str, wrong: str, mend: str) -> None:
        super().__init__(f"input `{name}` {wrong}; {mend}")
        self.name = name


class UnknownKind(VerifierError):
    """No checks exist for this task kind."""

    def __init__(self, kind: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there are no checks for kind `{kind}`; submit one of: {', '.join(known)}")


class SandboxRefused(VerifierError):
    """The sandbox could not be built, so nothing was run."""


class TooSlow(VerifierError):
    """The answers of one request could not be checked in the time allowed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"checking took longer than {seconds:g} s; ask for fewer samples, or raise TIERPROOF_VERIFIER_REQUEST_SECONDS"
        )
