"""What can be wrong with a message, said so that its sender can mend it."""

from pydantic import ValidationError


class ContractError(Exception):
    """Base of every refusal of a message or a document."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class NotCanonical(ContractError):
    """A value that has no single canonical form (a float, a huge integer, a key that is not ASCII)."""


class UnknownEvent(ContractError):
    """A message of a type or version that this release does not know."""


class Unreadable(ContractError):
    """Bytes that are no event of the named type."""


def explain_validation(error: ValidationError) -> str:
    """Return the first faults as `field: what is wrong`, without the offending value (it may be a text of a task)."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'message'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    shown = "; ".join(faults[:3])
    return shown if len(faults) <= 3 else f"{shown}; and {len(faults) - 3} more"  # noqa: PLR2004 - three are readable
