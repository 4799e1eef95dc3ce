"""The authority: answers a query with a token or with the reason for none."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from tierproof_tsa.errors import ClockWentBack, StateUnusable, TsaError, UnusableIdentity
from tierproof_tsa.identity import Identity
from tierproof_tsa.query import Failure, Refused, read_query
from tierproof_tsa.ticks import RANDOM_BITS, Ticks, serial_of
from tierproof_tsa.token import Terms, granted, refusal

log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the system's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One identity, one order of times. Not for several threads."""

    identity: Identity
    terms: Terms
    ticks: Ticks
    clock: Callable[[], datetime] = utc_now

    def answer(self, body: bytes) -> bytes:
        """Return the DER TimeStampResp for the body of a query, whatever the body is."""
        query = read_query(body, self.terms.policy)
        if isinstance(query, Refused):
            return self.refused(query)
        try:
            at = self.ticks.after(self.clock())
            self.identity.require_valid(at)
        except (ClockWentBack, UnusableIdentity, StateUnusable) as error:
            return self.refused(_unable(error))
        serial = serial_of(at, secrets.randbits(RANDOM_BITS))
        reply = granted(query, self.terms, self.identity, at=at, serial=serial)
        log.info("stamp.granted", serial=f"{serial:x}", digest=query.digest.hex(), at=at.isoformat())
        return reply

    def refused(self, refused: Refused) -> bytes:
        """Return the DER TimeStampResp that refuses."""
        log.warning("stamp.refused", failure=refused.failure.value, because=refused.because)
        return refusal(refused)

    def able(self) -> str | None:
        """Return why no token can be given now; None when all is well."""
        try:
            self.identity.require_valid(self.clock())
        except UnusableIdentity as error:
            return error.diagnosis()
        return None


def _unable(error: TsaError) -> Refused:
    failure = Failure.TIME_NOT_AVAILABLE if isinstance(error, ClockWentBack) else Failure.SYSTEM_FAILURE
    return Refused(failure=failure, because=error.diagnosis())
