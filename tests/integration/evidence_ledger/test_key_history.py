"""Which keys sign a log and when: learnt from the log itself, and from nothing that is not under a key believed before."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tierproof_evidence_ledger.acts import ROTATED, Act
from tierproof_evidence_ledger.errors import Corrupted
from tierproof_evidence_ledger.key_history import followed
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.term import Office
from tierproof_evidence_ledger.testing import abstained_task
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner

from tests.integration.evidence_ledger.at_work import in_office

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
OVERLAP = 10


def _signer(seed: bytes) -> NoteSigner:
    return NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(seed.ljust(32, b".")))


SECOND, THIRD, STRANGER = _signer(b"second"), _signer(b"third"), _signer(b"stranger")


async def _rotated_twice(ledger: Any, office: Office) -> list[int]:
    """Rotate to the second key and then to the third; return the sizes from which these sign."""
    streams, since = Streams(), []
    for number, (old, new) in enumerate([(office.signer, None), (office.signer, SECOND), (SECOND, THIRD)]):
        async with in_office(ledger, replace(office, signer=old, next_signer=new, overlap=OVERLAP)) as recorder:
            since.append(recorder.size + 1)
            for task in range(3):
                await recorder.record(streams.deliver(abstained_task(3 * number + task).events), NOW)
    return since[1:]


@pytest.mark.requirement("LED-proof")
async def test_a_reader_who_knows_the_first_key_learns_the_others_with_their_sizes(ledger: Any, office: Office) -> None:
    second, third = await _rotated_twice(ledger, office)
    first = LogKey(key=office.signer.verifier_key)
    found = followed(ledger.dsn("ledger_auditor"), [first])
    assert found == (
        replace(first, until=second + OVERLAP),
        LogKey(key=SECOND.verifier_key, since=second, until=third + OVERLAP),
        LogKey(key=THIRD.verifier_key, since=third),
    )
    assert followed(ledger.dsn("ledger_auditor"), found) == found


async def test_a_log_without_rotations_changes_nothing(recorder: Recorder, ledger: Any, office: Office) -> None:
    await recorder.record(Streams().deliver(abstained_task(1).events), NOW)
    known = (LogKey(key=office.signer.verifier_key),)
    assert followed(ledger.dsn("ledger_auditor"), known) == known


@pytest.mark.requirement("LED-proof")
async def test_a_rotation_under_a_key_that_nobody_believes_teaches_nothing(ledger: Any, office: Office) -> None:
    await _rotated_twice(ledger, office)
    with pytest.raises(Corrupted, match="not the one known to sign then"):
        followed(ledger.dsn("ledger_auditor"), [LogKey(key=STRANGER.verifier_key)])


@pytest.mark.requirement("LED-proof")
async def test_nor_one_that_names_the_known_key_and_is_signed_by_another(ledger: Any, office: Office) -> None:
    said = {"old": str(office.signer.verifier_key), "key": str(STRANGER.verifier_key), "from": 1, "until_old": 2}
    async with in_office(ledger, replace(office, signer=STRANGER)) as recorder:
        await recorder.record([], NOW, [Act(type=ROTATED, data=said)])
    with pytest.raises(Corrupted, match="not proven: no known key has signed"):
        followed(ledger.dsn("ledger_auditor"), [LogKey(key=office.signer.verifier_key)])
