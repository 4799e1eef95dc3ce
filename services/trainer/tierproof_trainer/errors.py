"""Why a training does not happen, or has ended without an artifact."""

from tierproof_contracts.training import FailureCode


class TrainingRefused(Exception):
    """A training that may not begin or cannot go on: a code for programs, a sentence and a mend for people."""

    def __init__(self, code: FailureCode, because: str, mend: str, *, again: bool = False) -> None:
        super().__init__(f"{because}; {mend}")
        self.code, self.because, self.mend, self.again = code, because, mend, again

    def diagnosis(self) -> str:
        """Return one line for people."""
        return f"{self.code}: {self.because}; {self.mend}"
