"""The authority as a part of the embedded stack: what the trust file names is what stamps."""

from pathlib import Path

import pytest
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import running_stack
from tierproof_evidence_ledger.timestamps import Authority, certificates_of, stamp, verify_stamp
from tierproof_proofs.trust import Trust

NOTE = b"tierproof.local/ledger\n7\nqDrl\n"


@pytest.mark.requirement("LED-proof")
async def test_a_stack_stamps_and_its_trust_file_verifies_that_across_restarts(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    settings = EmbeddedSettings(
        home=tmp_path / "state", fleet=tmp_path / "fleet", triton_url="t:8001", only=("tsa",), start_patience=60
    )
    stamps = []
    for _ in range(2):
        async with running_stack(settings) as stack:
            known = certificates_of("".join(Trust.from_json(stack.trust.read_bytes()).time_stamping).encode())
            where = Authority(url=stack.endpoints.tsa_url, certificates=known, seconds=10, largest_reply=20_000)
            stamps.append(await stamp(where, NOTE))
    first, second = (verify_stamp(each, NOTE, known) for each in stamps)
    assert first <= second
