"""What earlier verifications attested of books that no entry lists row by row: the log holds their words, so no row goes unnoticed.

Each verification becomes an entry. It says how many checkpoints were published up to which size, and what the time stamps and the terms
were. These only grow at their end; a row that is gone or another one contradicts it.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from tierproof_evidence_ledger.findings import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """Counts, and digests over all rows of a kind up to then, in their order. Sizes are in entries."""

    published: int
    newest_published: int
    stamps: int
    stamps_digest: str
    terms: int
    terms_digest: str


def attested_in(said: Mapping[str, Any]) -> Attested | None:
    """Return what the act of a verification attests; None when it found faults, or is of a release that attested nothing."""
    if said.get("faults") != 0 or "attested" not in said:
        return None
    return Attested(**said["attested"])


def attest(published: Sequence[int], stamps: Sequence[str], terms: Sequence[str]) -> dict[str, Any]:
    """Return what is to be attested: of published sizes, ascending, and of time stamps and terms as they are written down."""
    return asdict(
        Attested(
            published=len(published),
            newest_published=max(published, default=0),
            stamps=len(stamps),
            stamps_digest=_digest(stamps),
            terms=len(terms),
            terms_digest=_digest(terms),
        )
    )


def compare(
    earlier: Sequence[Attested], published: Sequence[int], stamps: Sequence[str], terms: Sequence[str], report: Report
) -> None:
    """Compare the books with what was attested of them before."""
    for said in earlier:
        there = bisect_right(published, said.newest_published)
        if there != said.published:
            report.add(
                None, f"{there} checkpoints up to {said.newest_published} are published, and {said.published} were"
            )
        if _digest(stamps[: said.stamps]) != said.stamps_digest:
            report.add(None, f"the first {said.stamps} time stamps are not those that were")
        if _digest(terms[: said.terms]) != said.terms_digest:
            report.add(None, f"the first {said.terms} terms are not those that were")


def _digest(terms: Sequence[str]) -> str:
    return sha256("\n".join(terms).encode()).hexdigest()
