"""Notes and keys agree with the Go reference, as published (TIERPROOF_VECTORS/note)."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tierproof_proofs import note
from tierproof_proofs.errors import Malformed, NotVerified, ProofError
from tierproof_proofs.keys import Ed25519Signer

pytestmark = pytest.mark.requirement("LED-proof")


@pytest.fixture
def cases(vectors: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((vectors / "note/x-mod-note.json").read_text())
    counts = (len(found["open"]), len(found["sign"]), len(found["lookup"]["cases"]))
    assert counts == (18, 7, 4)
    return found


def _mutants(rule: dict[str, Any]) -> list[str]:
    base = rule["base"]
    if "substring" in rule["rule"]:
        parts = [base[start:end] for start in range(len(base)) for end in range(start + 1, len(base) + 1)]
        made = [part for part in parts if part != base]
    else:
        made = [base[:place] + chr(ord(character) + 1) + base[place + 1 :] for place, character in enumerate(base)]
    assert len(made) == rule["count"]
    return made


def _refuse_all(read: Callable[[str], object], mutants: list[str]) -> None:
    for mutant in mutants:
        with pytest.raises(ProofError):
            read(mutant)


def test_verifier_keys(cases: dict[str, Any]) -> None:
    keys = cases["verifier_keys"]
    assert (len(keys["accept"]), len(keys["refuse"])) == (2, 2)
    assert [rule["count"] for rule in keys["refuse_by_rule"]] == [2210, 66]
    for text in keys["accept"]:
        assert str(note.parse_vkey(text)) == text
    _refuse_all(note.parse_vkey, [case["vkey"] for case in keys["refuse"]])
    for rule in keys["refuse_by_rule"]:
        _refuse_all(note.parse_vkey, _mutants(rule))


def test_signer_keys(cases: dict[str, Any]) -> None:
    keys = cases["signer_keys"]
    assert (len(keys["accept"]), len(keys["from_seed"])) == (1, 1)
    assert [rule["count"] for rule in keys["refuse_by_rule"]] == [3080, 78]
    for case in keys["accept"]:
        assert str(note.parse_skey(case["skey"]).verifier_key) == case["vkey"]
    for rule in keys["refuse_by_rule"]:
        _refuse_all(note.parse_skey, _mutants(rule))
    for case in keys["from_seed"]:
        signer = note.NoteSigner(
            name=case["name"], signer=Ed25519Signer.from_seed(bytes.fromhex(case["ed25519_seed_hex"]))
        )
        assert str(signer.verifier_key) == case["vkey"]


def _signers(case: dict[str, Any]) -> list[note.NoteSigner]:
    if case.get("skey"):
        return [note.parse_skey(case["skey"])]
    if "ed25519_seed_hex" in case:
        seed = bytes.fromhex(case["ed25519_seed_hex"])
        return [note.NoteSigner(name=case["name"], signer=Ed25519Signer.from_seed(seed))]
    if "signer_name" in case:
        return [note.NoteSigner(name=case["signer_name"], signer=Ed25519Signer.from_seed(bytes(32)))]
    return []


def _existing(case: dict[str, Any]) -> list[note.SignatureLine]:
    lines = []
    for given in case.get("existing_signatures", ()):
        raw = base64.b64decode(given["base64"])
        line = note.SignatureLine(name=given["name"], key_id=bytes.fromhex(given["hash"]), signature=raw[4:])
        replaced = any(note.key_for(line, [signer.verifier_key]) for signer in _signers(case))
        if raw[:4] != line.key_id and not replaced:
            raise Malformed("the signature's own key id is another one")
        lines.append(line)
    return lines


def _signed(case: dict[str, Any]) -> str:
    if "note_before" in case:
        before = note.parse_note(case["note_before"].encode())
        return note.sign_note(before.text, _signers(case), before.signatures)
    return note.sign_note(case["text"], _signers(case), _existing(case))


def test_signing_is_equal_byte_for_byte(cases: dict[str, Any]) -> None:
    for case in cases["sign"]:
        if case["expect"]["accept"]:
            assert _signed(case) == case["expect"]["note"], case["id"]
        else:
            with pytest.raises(ProofError):
                _signed(case)


def test_looking_a_key_up(cases: dict[str, Any]) -> None:
    known = [note.parse_vkey(text) for text in cases["lookup"]["list"]]
    for case in cases["lookup"]["cases"]:
        line = note.SignatureLine(name=case["name"], key_id=bytes.fromhex(case["key_id"]), signature=b"x")
        if "expect" in case:
            assert str(note.key_for(line, known)) == case["expect"]
        elif "unknown" in case["error"]:
            assert note.key_for(line, known) is None
        else:
            with pytest.raises(NotVerified, match="twice"):
                note.key_for(line, known)


def test_opening(cases: dict[str, Any]) -> None:
    for case in cases["open"]:
        message = base64.b64decode(case["message_b64"])
        known = [note.parse_vkey(text) for text in case["known_vkeys"]]
        expect = case["expect"]
        if not expect["accept"]:
            with pytest.raises(ProofError):
                note.open_note(message, known)
            continue
        opened = note.open_note(message, known)
        assert opened.text == expect["text"], case["id"]
        for found, wanted in ((opened.verified, expect["verified"]), (opened.unverified, expect["unverified"])):
            assert [(line.name, line.key_id.hex()) for line in found] == [
                (line["name"], line["hash"]) for line in wanted
            ], case["id"]
