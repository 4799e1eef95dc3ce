"""Log keys by size, cosignatures as they are made, and what a trust file refuses."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.cosignature import Cosigner, cosignature_time, split_timestamp
from tierproof_proofs.errors import Malformed, NotVerified, UnusableKey
from tierproof_proofs.keys import (
    Ed25519Signer,
    MLDSA44Signer,
    load_key,
    load_mldsa44_key,
    load_or_create_key,
    load_or_create_mldsa44_key,
)
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.merkle import EMPTY_ROOT, leaf_hash
from tierproof_proofs.note import NoteSigner, SignatureLine, VerifierKey
from tierproof_proofs.tlog_proof import LogPolicy, TlogProof, verify_proof
from tierproof_proofs.trust import Trust

pytestmark = pytest.mark.requirement("LED-proof")
ORIGIN, TIME = "log.example/unit", 1_700_000_000
OLD, NEW = (NoteSigner(name=ORIGIN, signer=Ed25519Signer.from_seed(seed * 32)) for seed in (b"o", b"n"))
ELSEWHERE = NoteSigner(name="elsewhere.example", signer=OLD.signer)
LOG_PQ = Cosigner(name=ORIGIN, signer=MLDSA44Signer.from_seed(b"l" * 32))
WITNESS = Cosigner(name="w.example/1", signer=Ed25519Signer.from_seed(b"w" * 32))
WITNESS_PQ = Cosigner(name="w.example/1", signer=MLDSA44Signer.from_seed(b"w" * 32))
OTHER = Cosigner(name="w.example/2", signer=MLDSA44Signer.from_seed(b"v" * 32))
LEAF = b"entry"
ONE = Checkpoint(origin=ORIGIN, size=1, root=leaf_hash(LEAF))


def _of_size(size: int) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=bytes(32))


@pytest.mark.parametrize("cosigner", [WITNESS, WITNESS_PQ])
def test_a_cosignature_holds_for_its_checkpoint_name_and_time(cosigner: Cosigner) -> None:
    line, key = cosigner.cosign(ONE, TIME), cosigner.verifier_key
    assert (line.name, line.key_id) == (key.name, key.key_id)
    assert cosignature_time(key, line.signature, str(ONE), ONE) == TIME
    other = replace(ONE, size=2)
    assert cosignature_time(key, line.signature, str(other), other) is None
    later = (TIME + 1).to_bytes(8, "big") + line.signature[8:]
    assert split_timestamp(later, key.algorithm)[0] == TIME + 1
    assert cosignature_time(key, later, str(ONE), ONE) is None


@pytest.mark.parametrize("time", [0, -1, 2**63])
def test_a_checkpoint_is_never_cosigned_without_a_time(time: int) -> None:
    with pytest.raises(Malformed, match="time"):
        WITNESS.cosign(ONE, time)


def test_an_unknown_algorithm_makes_no_cosignature() -> None:
    class Rsa:
        key_id, algorithm, public_key = "x", "rsa", b""

        def sign(self, message: bytes) -> bytes:
            return message

    with pytest.raises(Malformed, match="rsa"):
        Cosigner(name="w", signer=Rsa()).cosign(ONE, TIME)


def test_a_log_key_signs_from_its_first_size_until_its_last() -> None:
    keys = [LogKey(key=OLD.verifier_key, until=10), LogKey(key=NEW.verifier_key, since=8)]
    verdicts = {}
    for name, signer in (("old", OLD), ("new", NEW)):
        for size in (7, 8, 9, 10):
            try:
                open_checkpoint(sign_checkpoint(_of_size(size), signer).encode(), keys)
            except NotVerified:
                verdicts[name, size] = False
            else:
                verdicts[name, size] = True
    assert verdicts == {
        ("old", 7): True, ("old", 8): True, ("old", 9): True, ("old", 10): False,
        ("new", 7): False, ("new", 8): True, ("new", 9): True, ("new", 10): True,
    }  # fmt: skip


def test_the_logs_second_signature_must_be_right_where_it_is_known() -> None:
    keys = [LogKey(key=OLD.verifier_key), LogKey(key=LOG_PQ.verifier_key, since=1)]
    note = sign_checkpoint(ONE, OLD)
    right, wrong = LOG_PQ.cosign(ONE, TIME), LOG_PQ.cosign(_of_size(1), TIME)
    assert open_checkpoint(note.encode(), keys) == ONE
    assert open_checkpoint(f"{note}{right}".encode(), keys) == ONE
    with pytest.raises(NotVerified, match="is wrong"):
        open_checkpoint(f"{note}{wrong}".encode(), keys)
    assert open_checkpoint(f"{note}{wrong}".encode(), [keys[0], replace(keys[1], since=2)]) == ONE
    alone = f"{ONE}\n{right}".encode()
    with pytest.raises(NotVerified, match="no known key"):
        open_checkpoint(alone, keys)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    other = Checkpoint(origin="other.example", size=0, root=EMPTY_ROOT)
    with pytest.raises(NotVerified, match="is of other"):
        open_checkpoint(sign_checkpoint(other, OLD).encode(), [LogKey(key=OLD.verifier_key)])


@pytest.mark.parametrize(
    "keys",
    [[], [LogKey(key=LOG_PQ.verifier_key)], [LogKey(key=OLD.verifier_key), LogKey(key=ELSEWHERE.verifier_key)]],
)
def test_keys_that_are_not_of_one_log_are_refused(keys: list[LogKey]) -> None:
    with pytest.raises(Malformed, match="log keys"):
        open_checkpoint(sign_checkpoint(ONE, OLD).encode(), keys)


@pytest.mark.parametrize(("since", "until"), [(5, 5), (5, 4), (-1, None)])
def test_a_window_without_sizes_is_refused(since: int, until: int | None) -> None:
    with pytest.raises(Malformed, match="no size"):
        LogKey(key=OLD.verifier_key, since=since, until=until)


def _proven(lines: list[SignatureLine], witnesses: list[VerifierKey], quorum: int) -> dict[str, int]:
    note = sign_checkpoint(ONE, OLD) + "".join(map(str, lines))
    proof = str(TlogProof(index=0, hashes=(), checkpoint=note))
    policy = LogPolicy(log_keys=(LogKey(key=OLD.verifier_key),), witnesses=tuple(witnesses), quorum=quorum)
    return verify_proof(proof, LEAF, policy).witnessed


def test_the_quorum_counts_witnesses_and_not_their_keys() -> None:
    known = [each.verifier_key for each in (WITNESS, WITNESS_PQ, OTHER)]
    both = [WITNESS.cosign(ONE, TIME), WITNESS_PQ.cosign(ONE, TIME + 1)]
    assert _proven(both, known, 1) == {"w.example/1": TIME + 1}
    with pytest.raises(NotVerified, match="1 witnesses have cosigned, 2 are needed"):
        _proven(both, known, 2)
    assert set(_proven([*both, OTHER.cosign(ONE, TIME)], known, 2)) == {"w.example/1", "w.example/2"}
    with pytest.raises(NotVerified, match="is wrong"):
        _proven([both[0], WITNESS_PQ.cosign(_of_size(1), TIME)], known, 1)


def test_mldsa_keys_are_kept_as_ed25519_ones_are(tmp_path: Path) -> None:
    first = load_or_create_mldsa44_key(tmp_path / "pq.pem")
    assert stat.S_IMODE((tmp_path / "pq.pem").stat().st_mode) == 0o600
    assert load_or_create_mldsa44_key(tmp_path / "pq.pem").public_key == first.public_key
    load_or_create_key(tmp_path / "ed.pem")
    with pytest.raises(UnusableKey, match="not an Ed25519"):
        load_key(tmp_path / "pq.pem")
    with pytest.raises(UnusableKey, match="not an ML-DSA-44"):
        load_mldsa44_key(tmp_path / "ed.pem")
    with pytest.raises(Malformed, match="seed"):
        MLDSA44Signer.from_seed(b"short")


def _members(**changes: Any) -> str:
    members = {
        "log_keys": [{"key": str(OLD.verifier_key), "from": 0, "until": None}],
        "witnesses": [str(WITNESS.verifier_key), str(WITNESS_PQ.verifier_key)],
        "quorum": 1,
        **changes,
    }
    return json.dumps(members)


def test_a_trust_file_with_rotated_keys_and_witnesses_survives() -> None:
    trust = Trust(
        log_keys=(
            LogKey(key=OLD.verifier_key, until=10),
            LogKey(key=NEW.verifier_key, since=8),
            LogKey(key=LOG_PQ.verifier_key),
        ),
        witnesses=(WITNESS.verifier_key, OTHER.verifier_key),
        quorum=2,
    )
    assert Trust.from_json(trust.to_json()) == trust
    assert trust.origin == ORIGIN
    assert Trust.from_json(_members()).quorum == 1


OLD_KEY = {"key": str(OLD.verifier_key), "from": 0, "until": None}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"log": "x"}, "unknown members log"),
        ({"log_keys": []}, "required"),
        ({"log_keys": [str(OLD.verifier_key)]}, "and nothing else"),
        ({"log_keys": [{**OLD_KEY, "more": 1}]}, "and nothing else"),
        ({"log_keys": [{**OLD_KEY, "from": "0"}]}, "number"),
        ({"log_keys": [{**OLD_KEY, "from": True}]}, "number"),
        ({"log_keys": [{**OLD_KEY, "until": 0}]}, "no size"),
        ({"log_keys": [{**OLD_KEY, "key": str(WITNESS.verifier_key)}]}, "0x01"),
        ({"quorum": 2}, "cannot be reached by 1 witnesses"),
        ({"quorum": -1}, "number"),
        ({"witnesses": [str(OLD.verifier_key)]}, "own witness"),
        ({"witnesses": [str(NoteSigner(name="w", signer=OLD.signer).verifier_key)]}, "0x04"),
        ({"witnesses": [str(WITNESS.verifier_key)] * 2}, "twice"),
        ({"time_stamping": ["no certificate"]}, "PEM"),
    ],
)
def test_a_trust_file_that_cannot_be_meant_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        Trust.from_json(_members(**changes))
