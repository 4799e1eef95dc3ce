"""A released result is believed only with its entry, its proof, and for class C a person's signature."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.errors import Malformed, NotVerified, ProofError
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import inclusion_proof, leaf_hash, root_of
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.release import seal, verify_released
from tierproof_proofs.tlog_proof import TlogProof
from tierproof_proofs.trust import Trust

LOG = NoteSigner(name="log.example/unit", signer=Ed25519Signer.from_seed(b"l" * 32))
REVIEWER = Ed25519Signer.from_seed(b"r" * 32)
TRUST = Trust(log_keys=(LogKey(key=LOG.verifier_key),), reviewers={"ada": Ed25519Verifier(REVIEWER.public_key)})
TASK = "acme_" + "0" * 32
ANSWER = {"text": "the answer", "salt": "ab" * 16}
INDEX = 5


def _dump(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _result(safety_class: str = "A") -> dict[str, Any]:
    return {
        "type": "result.released.v1",
        "id": "x",
        "data": {
            "task_id": TASK,
            "safety_class": safety_class,
            "outcome": {"status": "answered", "answer": ANSWER, "tier": "s"},
            "ledger": {"log": LOG.name, "index": INDEX, "size": 7},
        },
    }


def _review(**changes: Any) -> dict[str, Any]:
    fields = {"task_id": TASK, "answer": seal(ANSWER)["commitment"], "verdict": "confirm", "signer": "ada", **changes}
    statement = _dump({"statement": "tierproof review v1", **fields})
    return {**fields, "signature": base64_of(REVIEWER.sign(statement))}


def _entry(result: dict[str, Any], review: dict[str, Any] | None = None) -> dict[str, Any]:
    entry = {"entry": 1, "kind": "release", "event": seal(result)}
    return entry if review is None else {**entry, "review": review}


def _proof(entry: bytes, index: int = INDEX) -> str:
    leaves = [leaf_hash(entry if place == index else b"other") for place in range(7)]
    checkpoint = Checkpoint(origin=LOG.name, size=7, root=root_of(leaves))
    node: Callable[[int, int], bytes] = lambda level, place: root_of(leaves[place << level : (place + 1) << level])  # noqa: E731
    hashes = tuple(inclusion_proof(index, 7, node))
    return str(TlogProof(index=index, hashes=hashes, checkpoint=sign_checkpoint(checkpoint, LOG)))


def _verify(result: dict[str, Any], entry: dict[str, Any], **changes: Any) -> Any:
    content = _dump(entry)
    claim = {"result_event": _dump(result), "proof_text": _proof(content), "entry": content, "trust": TRUST, **changes}
    return verify_released(**claim)


def test_a_released_result_is_verified_offline() -> None:
    verified = _verify(_result(), _entry(_result()))
    assert (verified.task_id, verified.status, verified.proven.index) == (TASK, "answered", INDEX)
    assert verified.confirmed_by is None


def test_a_changed_answer_is_refused() -> None:
    changed = copy.deepcopy(_result())
    changed["data"]["outcome"]["answer"]["text"] = "the Answer"
    with pytest.raises(NotVerified, match="another result"):
        _verify(changed, _entry(_result()))


def test_true_is_not_one() -> None:
    changed = _result()
    changed["data"]["ledger"]["size"] = True
    recorded = _entry(_result())
    recorded["event"]["data"]["ledger"]["size"] = 1
    with pytest.raises(NotVerified, match="another result"):
        _verify(changed, recorded)


def test_a_result_at_another_position_is_refused() -> None:
    proof = _proof(_dump(_entry(_result())), index=4)
    with pytest.raises(NotVerified, match="position"):
        _verify(_result(), _entry(_result()), proof_text=proof)


def test_an_entry_that_is_no_release_is_refused() -> None:
    with pytest.raises(NotVerified, match="no release"):
        _verify(_result(), {**_entry(_result()), "kind": "event"})


def test_another_logs_key_is_refused() -> None:
    other = NoteSigner(name=LOG.name, signer=Ed25519Signer.from_seed(b"x" * 32))
    with pytest.raises(NotVerified, match="no known key"):
        _verify(_result(), _entry(_result()), trust=Trust(log_keys=(LogKey(key=other.verifier_key),)))


@pytest.mark.requirement("S9-classC")
def test_class_c_with_a_signed_confirmation_names_the_person() -> None:
    assert _verify(_result("C"), _entry(_result("C"), _review())).confirmed_by == "ada"


@pytest.mark.requirement("S9-classC")
@pytest.mark.parametrize(
    ("review", "why"),
    [
        (None, "review: missing"),
        (_review(verdict="reject"), "something else"),
        (_review(task_id="acme_" + "1" * 32), "something else"),
        (_review(answer="hmac-sha256:" + "0" * 64), "something else"),
        (_review(signer="eve"), "knows no reviewer"),
        ({**_review(), "verdict": "confirm", "answer": "x"}, "is wrong"),
        ({**_review(), "signature": base64_of(bytes(64))}, "is wrong"),
    ],
)
def test_class_c_without_a_fitting_confirmation_is_refused(review: dict[str, Any] | None, why: str) -> None:
    with pytest.raises(NotVerified, match=why):
        _verify(_result("C"), _entry(_result("C"), review))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"kind":"release","kind":"event"}', b'{"kind":"release","event":NaN}', b"[" * 100_000],
)
def test_bytes_that_are_no_entry_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(ProofError):
        verify_released(_dump(_result()), _proof(content), content, TRUST)


def test_a_trust_file_survives_writing_and_reading() -> None:
    assert Trust.from_json(TRUST.to_json()) == TRUST


def test_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(Malformed, match="Unicode"):
        seal({"text": "\ud800", "salt": "00" * 16})
