"""The witness reads what the specification of its protocol prints (TIERPROOF_VECTORS/c2sp)."""

import json
from pathlib import Path
from typing import Any

import pytest
from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.encoding import bytes_of_base64
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.merkle import verify_subtree_consistency
from tierproof_proofs.note import parse_line, parse_note
from tierproof_witness.decide import Reason, Refused, refused_at_the_door
from tierproof_witness.submission import parse_submission

pytestmark = pytest.mark.requirement("LED-proof")


@pytest.fixture
def examples(vectors: Path) -> dict[str, Any]:
    found = json.loads((vectors / "c2sp/spec-examples.json").read_text())["examples"]
    printed = {case["id"]: case for case in found if case["id"].startswith("witness-")}
    assert len(printed) == 3
    return printed


def test_the_printed_request_is_read_and_its_log_is_unknown(examples: dict[str, Any]) -> None:
    printed = examples["witness-add-checkpoint-request"]
    expect = printed["expect"]
    submission = parse_submission(printed["text"].encode())
    assert (submission.old, len(submission.proof)) == (expect["old_size"], expect["proof_hashes"])
    assert (submission.checkpoint.size, len(submission.note.signatures)) == (expect["size"], expect["signature_lines"])
    refused = refused_at_the_door(submission, [])
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNKNOWN_LOG


def test_the_printed_response_is_read(examples: dict[str, Any]) -> None:
    printed = examples["witness-add-checkpoint-response"]
    lines = [parse_line(line) for line in printed["text"].splitlines()]
    assert len(lines) == printed["expect"]["signature_lines"]
    assert [line.name for line in lines] == printed["expect"]["signers"]


def test_the_printed_subtree_request_is_an_illustration_and_does_not_verify(examples: dict[str, Any]) -> None:
    printed = examples["witness-sign-subtree-request"]
    expect = printed["expect"]
    head, note = printed["text"].split("\n\n", 1)
    subtree, root, *hashes = head.split("\n")
    start, end = map(int, subtree.removeprefix("subtree ").split(" "))
    proof = [bytes_of_base64(line, "hash") for line in hashes]
    checkpoint = parse_checkpoint(note.split("\n\n")[0] + "\n")
    assert (start, end, len(proof), checkpoint.size) == (
        expect["start"], expect["end"], expect["proof_hashes"], expect["size"]
    )  # fmt: skip
    with pytest.raises(NotVerified):
        verify_subtree_consistency(start, end, checkpoint.size, bytes_of_base64(root, "hash"), checkpoint.root, proof)
    with pytest.raises(Malformed):
        parse_note(note.encode())
