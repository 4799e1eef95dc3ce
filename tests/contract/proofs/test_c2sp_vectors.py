"""Checkpoints, cosignatures and proof files agree with C2SP (TIERPROOF_VECTORS/{c2sp,formats,tlog-proof})."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tierproof_proofs import checkpoint, cosignature, log_key, note, tlog_proof
from tierproof_proofs.errors import ProofError

pytestmark = pytest.mark.requirement("LED-proof")


def _json(vectors: Path, name: str) -> Any:
    return json.loads((vectors / name).read_text())


def _refused(read: Callable[..., object], *arguments: Any) -> bool:
    try:
        read(*arguments)
    except ProofError:
        return True
    return False


def _policy(members: dict[str, Any]) -> tlog_proof.LogPolicy:
    return tlog_proof.LogPolicy(
        log_keys=(log_key.LogKey(key=note.parse_vkey(members["log"])),),
        witnesses=tuple(map(note.parse_vkey, members["witnesses"])),
        quorum=members["quorum"],
    )


def test_composed_proofs(vectors: Path) -> None:
    composed = _json(vectors, "tlog-proof/composed.json")
    cases = composed["cases"]
    assert (len(composed["valid"]), len(cases), sum(case["accept"] for case in cases)) == (36, 49, 6)
    policies = {name: _policy(members) for name, members in composed["policies"].items()}
    for case in [*composed["valid"], *cases]:
        claim = (case["text"], bytes.fromhex(case["leaf_hex"]), policies[case["policy"]])
        if case.get("accept", True):
            proven = tlog_proof.verify_proof(*claim)
            assert len(proven.witnessed) == policies[case["policy"]].quorum, case["id"]
            assert str(tlog_proof.parse_proof(case["text"])) == case["text"]
        else:
            assert _refused(tlog_proof.verify_proof, *claim), case["id"]


def test_framing(vectors: Path) -> None:
    framing = _json(vectors, "formats/tlog-proof-framing.json")
    assert (len(framing["frame"]), len(framing["refuse"])) == (6, 8)
    for case in framing["frame"]:
        proof = tlog_proof.parse_proof(case["text"])
        extra = None if case["extra_b64"] is None else base64.b64decode(case["extra_b64"])
        hashes = tuple(base64.b64decode(part) for part in case["hashes_b64"])
        assert (proof.index, proof.hashes, proof.checkpoint, proof.extra) == (
            case["index"],
            hashes,
            case["checkpoint"],
            extra,
        )
        assert str(proof) == case["text"]
    for case in framing["refuse"]:
        assert _refused(tlog_proof.parse_proof, case["text"]), case["desc"]


def test_checkpoint_bodies_are_read_strictly(vectors: Path) -> None:
    bodies = _json(vectors, "formats/checkpoint-body.json")
    verdicts = [case["strict"] for case in bodies["parse"]]
    assert (len(verdicts), verdicts.count("accept"), len(bodies["marshal"])) == (27, 3, 2)
    for case in bodies["parse"]:
        if case["strict"] == "accept":
            assert str(checkpoint.parse_checkpoint(case["text"])) == case["text"]
        else:
            assert _refused(checkpoint.parse_checkpoint, case["text"]), case["desc"]
    for case in bodies["marshal"]:
        made = checkpoint.Checkpoint(
            origin=case["origin_line"], size=case["size"], root=bytes.fromhex(case["root_hex"])
        )
        assert str(made) == case["want"]


def test_cosignature_keys_and_times(vectors: Path) -> None:
    found = _json(vectors, "formats/cosignature-keys.json")
    counts = [len(found[part]) for part in ("vkeys", "cosignature_timestamps", "mldsa44_message_limits")]
    assert counts == [9, 3, 3]
    for case in found["vkeys"]:
        if case["accept"]:
            assert note.parse_vkey(case["vkey"]).algorithm == case["type"]
        else:
            assert _refused(note.parse_vkey, case["vkey"]), case["desc"]
    for case in found["cosignature_timestamps"]:
        if "timestamp" in case:
            assert _timestamp(case) == case["timestamp"]
        else:
            assert _refused(_timestamp, case), case["refuse"]
    for case in found["mldsa44_message_limits"]:
        about = checkpoint.Checkpoint(origin=case["log_origin"], size=1, root=bytes(32))
        if case["accept"]:
            assert cosignature.mldsa44_message(case["cosigner_name"], 1, about)
        else:
            with pytest.raises(ProofError):
                cosignature.mldsa44_message(case["cosigner_name"], 1, about)


def _timestamp(case: dict[str, Any]) -> int:
    line = note.parse_line(f"{note.LINE_START}witness {case['signature_b64']}")
    return cosignature.split_timestamp(line.signature, note.ED25519_COSIGNATURE)[0]


def test_the_specifications_own_examples(vectors: Path) -> None:
    examples = {case["id"]: case for case in _json(vectors, "c2sp/spec-examples.json")["examples"]}
    assert len(examples) == 8
    signed = examples["signed-note-verifiable"]
    opened = note.open_note(signed["text"].encode(), [note.parse_vkey(signed["vkey"])])
    assert opened.text == signed["expect"]["signed_text"]
    for name in ("signed-note-empty-line-in-text", "checkpoint", "cosigned-checkpoint"):
        parsed = note.parse_note(examples[name]["text"].encode())
        assert [line.name for line in parsed.signatures] == examples[name]["expect"]["signers"]
    cosigned = examples["cosigned-checkpoint"]
    parsed = note.parse_note(cosigned["text"].encode())
    body = checkpoint.parse_checkpoint(parsed.text)
    expect = cosigned["expect"]
    assert (body.origin, body.size) == (expect["origin"], expect["size"])
    time, _ = cosignature.split_timestamp(parsed.signatures[1].signature, note.ED25519_COSIGNATURE)
    assert time == expect["cosignature_timestamp"]
    assert cosignature.ed25519_message(time, parsed.text).decode() == expect["ed25519_cosignature_message"]


def test_the_abridged_proof_of_the_specification_is_framed_and_not_believed(vectors: Path) -> None:
    examples = {case["id"]: case for case in _json(vectors, "c2sp/spec-examples.json")["examples"]}
    abridged = examples["tlog-proof-abridged"]
    proof = tlog_proof.parse_proof(abridged["text"])
    assert (proof.index, len(proof.hashes)) == (abridged["expect"]["index"], abridged["expect"]["proof_hashes"])
    log = note.parse_vkey(examples["signed-note-verifiable"]["vkey"])
    with pytest.raises(ProofError):
        tlog_proof.verify_proof(abridged["text"], b"", tlog_proof.LogPolicy(log_keys=(log_key.LogKey(key=log),)))
