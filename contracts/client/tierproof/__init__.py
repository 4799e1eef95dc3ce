"""The SDK of tierproof: submit tasks, hear released results, verify them offline."""

from tierproof.connection import connect
from tierproof.errors import (
    AlreadySubmitted,
    ClientError,
    NoAnswer,
    NotPermitted,
    NotReachable,
    NotYet,
    RefusedByLedger,
    TooLarge,
)
from tierproof.fleet import Fleet, Task
from tierproof.results import Result

__all__ = [
    "AlreadySubmitted",
    "ClientError",
    "Fleet",
    "NoAnswer",
    "NotPermitted",
    "NotReachable",
    "NotYet",
    "RefusedByLedger",
    "Result",
    "Task",
    "TooLarge",
    "connect",
]
