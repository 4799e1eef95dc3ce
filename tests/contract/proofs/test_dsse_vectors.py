"""DSSE envelopes agree with the specification's vector and rules (TIERPROOF_VECTORS/dsse)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from tierproof_proofs.dsse import pae, verify_envelope
from tierproof_proofs.errors import ProofError

RAW_SIGNATURE = 64


class P256:
    """The specification's key type, which the product does not use: shows that any Verifier fits."""

    def __init__(self, members: dict[str, str]) -> None:
        self._key = ec.EllipticCurvePublicNumbers(int(members["x"]), int(members["y"]), ec.SECP256R1()).public_key()

    def verify(self, message: bytes, signature: bytes) -> bool:
        if len(signature) != RAW_SIGNATURE:
            return False
        encoded = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        try:
            self._key.verify(encoded, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@pytest.fixture
def cases(vectors: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((vectors / "dsse/dsse.json").read_text())
    verdicts = [case["accept"] for case in found["verify"]]
    assert (len(found["pae"]), len(verdicts), verdicts.count(True), verdicts.count(None)) == (7, 21, 6, 1)
    return found


def test_pae(cases: dict[str, Any]) -> None:
    for case in cases["pae"]:
        made = pae(case["payload_type"], base64.b64decode(case["payload_b64"]))
        assert made == base64.b64decode(case["pae_b64"])


def test_envelopes(cases: dict[str, Any]) -> None:
    keys = {name: P256(members) for name, members in cases["keys"].items()}
    for case in cases["verify"]:
        trusted = {name: keys[name] for name in case["trusted"]}
        try:
            found = verify_envelope(case["envelope"], trusted, case["threshold"])
        except ProofError:
            assert not case["accept"], case["id"]
        else:
            assert case["accept"] is not False, case["id"]
            assert found.payload == b"hello world"
