"""What a person who starts the stack should read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One line; a `loud` one must not be overlooked."""

    text: str
    loud: bool = False
