"""A query is read strictly: one DER form, known hashes, one policy; everything else has its own refusal."""

import pytest
from asn1crypto import core, tsp
from hypothesis import given
from hypothesis import strategies as st
from tierproof_tsa.query import DIGEST_SIZES, Failure, Query, Refused, read_query

POLICY = "2.25.7"
SHA256 = "2.16.840.1.101.3.4.2.1"


def query(**changes: object) -> bytes:
    members = {
        "version": 1,
        "message_imprint": {"hash_algorithm": {"algorithm": SHA256}, "hashed_message": bytes(32)},
        "nonce": 5,
        "cert_req": True,
    }
    return bytes(tsp.TimeStampReq(members | changes).dump())


def imprint(algorithm: str, size: int) -> dict[str, object]:
    return {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": bytes(size)}


@pytest.mark.parametrize(("algorithm", "size"), DIGEST_SIZES.items())
def test_each_known_hash_is_accepted_at_its_size_alone(algorithm: str, size: int) -> None:
    assert isinstance(read_query(query(message_imprint=imprint(algorithm, size)), POLICY), Query)
    for wrong in (0, size - 1, size + 1):
        refused = read_query(query(message_imprint=imprint(algorithm, wrong)), POLICY)
        assert isinstance(refused, Refused)
        assert refused.failure is Failure.BAD_DATA_FORMAT


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"version": 2}, Failure.BAD_REQUEST),
        ({"version": 0}, Failure.BAD_REQUEST),
        ({"message_imprint": imprint("sha1", 20)}, Failure.BAD_ALG),
        ({"message_imprint": imprint("md5", 16)}, Failure.BAD_ALG),
        ({"message_imprint": imprint("1.2.3.4", 32)}, Failure.BAD_ALG),
        ({"req_policy": "1.2.3"}, Failure.UNACCEPTED_POLICY),
        ({"extensions": [{"extn_id": "1.2.3", "extn_value": b"x"}]}, Failure.UNACCEPTED_EXTENSIONS),
    ],
)
def test_each_wrong_has_its_failure(changes: dict[str, object], failure: Failure) -> None:
    refused = read_query(query(**changes), POLICY)
    assert isinstance(refused, Refused)
    assert refused.failure is failure


def test_parameters_of_a_hash_are_absent_or_null() -> None:
    algorithm = {"algorithm": SHA256, "parameters": core.Null()}
    with_null = query(message_imprint={"hash_algorithm": algorithm, "hashed_message": bytes(32)})
    assert with_null.count(b"\x05\x00") == 1
    assert isinstance(read_query(with_null, POLICY), Query)
    refused = read_query(with_null.replace(b"\x05\x00", b"\x04\x00"), POLICY)
    assert isinstance(refused, Refused)
    assert refused.failure is Failure.BAD_DATA_FORMAT


def test_the_own_policy_may_be_named_and_all_else_left_out() -> None:
    bare = tsp.TimeStampReq({"version": 1, "message_imprint": imprint(SHA256, 32), "req_policy": POLICY})
    assert read_query(bare.dump(), POLICY) == Query(
        digest_algorithm=SHA256, digest=bytes(32), nonce=None, wants_certificate=False
    )


@pytest.mark.parametrize("nonce", [0, 1, -1, 2**63, 2**64 - 1, 2**160])
def test_a_nonce_of_any_size_is_kept(nonce: int) -> None:
    found = read_query(query(nonce=nonce), POLICY)
    assert isinstance(found, Query)
    assert found.nonce == nonce


@pytest.mark.parametrize("body", [b"", b"\x30", b"\x30\x80", b"\x30\x00", b"hello", query() + b"\x00", query()[:-1]])
def test_what_is_no_query_is_bad_data(body: bytes) -> None:
    refused = read_query(body, POLICY)
    assert isinstance(refused, Refused)
    assert refused.failure is Failure.BAD_DATA_FORMAT


@pytest.mark.parametrize("tag", [0x03, 0x07, 0x0A, 0x24, 0x2D])
def test_parameters_of_an_odd_type_behind_an_unknown_hash_are_refused(tag: int) -> None:
    """An empty bit string, an object descriptor and their like, where the reader of ASN.1 loses its way."""
    algorithm = {"algorithm": SHA256, "parameters": core.Null()}
    body = query(message_imprint={"hash_algorithm": algorithm, "hashed_message": bytes(32)})
    odd = body.replace(b"\x04\x02\x01\x05\x00", bytes([0x04, 0x02, 0x7F, tag, 0x00]))
    assert odd != body
    assert isinstance(read_query(odd, POLICY), Refused)


def test_a_default_that_is_spelled_out_is_not_der() -> None:
    spelled_out = query(cert_req=True).replace(b"\x01\x01\xff", b"\x01\x01\x00")
    assert isinstance(read_query(spelled_out, POLICY), Refused)


def test_a_true_that_is_not_all_ones_is_not_der() -> None:
    assert isinstance(read_query(query(cert_req=True).replace(b"\x01\x01\xff", b"\x01\x01\x01"), POLICY), Refused)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fall(body: bytes) -> None:
    read_query(body, POLICY)


@given(st.integers(0, len(query()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_read_as_what_it_says(place: int, change: int) -> None:
    body = bytearray(query())
    body[place] ^= change
    found = read_query(bytes(body), POLICY)
    if isinstance(found, Query):
        assert found != read_query(query(), POLICY)
