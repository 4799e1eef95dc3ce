"""The golden messages: every release reads the good ones, refuses the bad ones for the same reason, and edits neither."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tierproof_contracts.catalogue import EVENTS, read_event
from tierproof_contracts.envelope import data_digest
from tierproof_contracts.errors import ContractError
from tierproof_contracts.review import ReviewDecidedV1

CONTRACTS = Path(__file__).parents[3] / "contracts"
VECTORS = CONTRACTS / "vectors"
GOOD = sorted((VECTORS / "good").iterdir())
BAD = sorted((VECTORS / "bad").iterdir())
EXPECTED: dict[str, Any] = json.loads((VECTORS / "expected.json").read_bytes())


def type_of(path: Path) -> str:
    return ".".join(path.name.split(".")[:3])


@pytest.mark.requirement("BUS-contracts")
def test_every_event_has_good_and_bad_vectors() -> None:
    assert {type_of(path) for path in GOOD} == {type_of(path) for path in BAD} == set(EVENTS)
    assert {f"bad/{path.name}" for path in BAD} == EXPECTED["bad"].keys()


def test_vectors_are_added_and_never_edited() -> None:
    said = {}
    for line in (VECTORS / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ", 1)
        said[name] = digest
    found = {
        str(path.relative_to(VECTORS)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*GOOD, *BAD, VECTORS / "expected.json")
    }
    assert found == said


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_message_is_read_and_says_the_same_when_sent_again(path: Path) -> None:
    content = path.read_bytes()
    event = read_event(content)
    assert event.type == type_of(path)
    digest = data_digest(json.loads(content))
    assert event.citation().digest == digest
    again = read_event(event.to_bytes())
    assert again.model_dump() == event.model_dump()
    # A field of a later release is covered by the citation as it came, though this release cannot send it on.
    assert (again.citation().digest == digest) is not path.stem.endswith("unknown-fields")


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_message_fits_its_schema(path: Path) -> None:
    schema = json.loads((CONTRACTS / "schemas" / f"{type_of(path)}.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_bytes()))


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_message_is_refused_by_the_name_of_its_fault(path: Path) -> None:
    expected = EXPECTED["bad"][f"bad/{path.name}"]
    with pytest.raises(ContractError) as refusal:
        read_event(path.read_bytes())
    assert type(refusal.value).__name__ == expected["error"]
    assert refusal.value.diagnosis().startswith(expected["names"])


@pytest.mark.requirement("LED-sign")
@pytest.mark.parametrize("name", ["confirm", "reject"])
def test_the_reviewers_signature_covers_what_signed_bytes_says(name: str) -> None:
    event = read_event((VECTORS / "good" / f"review.decided.v1.{name}.json").read_bytes())
    assert isinstance(event.data, ReviewDecidedV1)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(EXPECTED["test_key"]))
    key.verify(base64.b64decode(event.data.signature), event.data.signed_bytes())
