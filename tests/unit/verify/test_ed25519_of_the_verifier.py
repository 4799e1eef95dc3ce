"""The verifier's own Ed25519 says what `cryptography` says, and refuses what strict verification refuses."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.contract.verify.loading import load

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
VECTORS = [  # RFC 8032 section 7.1, tests 1 to 3: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
pytestmark = pytest.mark.requirement("LED-proof")


@pytest.fixture(params=["in Python", "by cryptography"])
def verifier(request: pytest.FixtureRequest) -> Any:
    module = load()
    if request.param == "in Python":
        module.Ed25519PublicKey = None
    return module


def theirs(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(verifier: Any, key: str, message: str, signature: str) -> None:
    said = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert verifier.ed25519(*said)
    assert not verifier.ed25519(said[0], said[1] + b"x", said[2])


def cases(seed: int, count: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield sound signatures, and some with one bit changed in the key, the message or the signature."""
    rng = random.Random(seed)
    for _ in range(count):
        private = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        message = rng.randbytes(rng.randrange(1, 90))
        parts = [private.public_key().public_bytes_raw(), message, private.sign(message)]
        yield parts[0], parts[1], parts[2]
        for at in range(3):
            changed = bytearray(parts[at])
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            yield (*parts[:at], bytes(changed), *parts[at + 1 :])  # type: ignore[misc]


def test_it_says_what_cryptography_says() -> None:
    verifier = load()
    verifier.Ed25519PublicKey = None
    verdicts = [(verifier.ed25519(*case), theirs(*case)) for case in cases(8032, 60)]
    assert [ours for ours, _ in verdicts] == [others for _, others in verdicts]
    assert sum(ours for ours, _ in verdicts) == 60


def test_a_scalar_beyond_the_order_is_refused(verifier: Any) -> None:
    key, message, signature = next(cases(1, 1))
    beyond = int.from_bytes(signature[32:], "little") + L
    assert not verifier.ed25519(key, message, signature[:32] + beyond.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65])
def test_a_signature_or_key_of_another_length_is_refused(verifier: Any, length: int) -> None:
    key, message, signature = next(cases(2, 1))
    assert not verifier.ed25519(key, message, (signature * 2)[:length])
    if length != 32:
        assert not verifier.ed25519((key * 3)[:length], message, signature)


def small_order(verifier: Any) -> list[bytes]:
    """Return the encodings of all eight points whose order divides eight, by multiplying points by the prime order."""
    found: set[bytes] = set()
    rng = random.Random(3)
    while len(found) < 8:
        point = verifier.point_of(rng.randbytes(32))
        if point is not None:
            x, y, z, _ = verifier.times(L, point)
            x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
            found.add((y | (x & 1) << 255).to_bytes(32, "little"))
    return sorted(found)


def test_keys_of_small_order_are_refused(verifier: Any) -> None:
    """With such a key, R = S * B is right for many messages: a signature that nobody made."""
    zero = bytes(32)
    identity = (1).to_bytes(32, "little")
    for key in small_order(verifier):
        assert verifier.point_of(key) is None
        assert not any(verifier.ed25519(key, bytes([at]), identity + zero) for at in range(16))


def test_points_that_are_not_canonical_are_refused(verifier: Any) -> None:
    sign = 1 << 255
    for y in [*range(P, 2**255), *(each | sign for each in range(P, 2**255)), 1 | sign, (P - 1) | sign]:
        assert verifier.point_of(y.to_bytes(32, "little")) is None, hex(y)


def test_a_point_off_the_curve_is_no_key(verifier: Any) -> None:
    assert verifier.point_of((2).to_bytes(32, "little")) is None
