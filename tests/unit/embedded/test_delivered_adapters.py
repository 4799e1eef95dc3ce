"""A pinned adapter is taken only whole, signed, and with the very bytes that the manifest names."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from tierproof_contracts.documents import FleetManifest, RoutingPolicy
from tierproof_contracts.inference import AdapterPin
from tierproof_embedded import adapters
from tierproof_embedded.documents import fleet_folder
from tierproof_embedded.errors import BadDocument
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.statements import SLSA_PROVENANCE, sign_statement, statement_bytes

SIGNER = Ed25519Signer.from_seed(bytes([7]) * 32)
OTHER = Ed25519Signer.from_seed(bytes([8]) * 32)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def deliver(folder: Path, *, signer: Ed25519Signer = SIGNER, weights: bytes = b"weights") -> AdapterPin:
    adapter = folder / "fw"
    adapter.mkdir(parents=True)
    files = {adapters.WEIGHTS: weights, adapters.CONFIG: b"{}"}
    for name, content in files.items():
        (adapter / name).write_bytes(content)
    payload = statement_bytes({name: digest(content) for name, content in files.items()}, SLSA_PROVENANCE, {})
    (adapter / adapters.PROVENANCE).write_text(json.dumps(sign_statement(payload, [signer])))
    (folder / adapters.SIGNERS).write_text(json.dumps({"release": base64.b64encode(SIGNER.public_key).decode()}))
    return AdapterPin(name="fw", digest=digest(weights))


def manifest(pin: AdapterPin) -> FleetManifest:
    found = FleetManifest.model_validate_json((fleet_folder() / "fleet-manifest.json").read_bytes())
    return found.model_copy(update={"adapters": {"fw": pin}, "triage": None})


@pytest.mark.requirement("S7.2-lineage")
def test_a_whole_adapter_is_taken_once_and_found_again(tmp_path: Path) -> None:
    pin = deliver(tmp_path / "fleet")
    adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")
    taken = tmp_path / "models/fw"
    assert sorted(path.name for path in taken.iterdir()) == [adapters.CONFIG, adapters.WEIGHTS]
    before = (taken / adapters.WEIGHTS).stat().st_ino
    adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")
    assert (taken / adapters.WEIGHTS).stat().st_ino == before


@pytest.mark.requirement("S7.2-lineage")
def test_an_adapter_whose_bytes_changed_in_the_state_folder_is_taken_anew(tmp_path: Path) -> None:
    pin = deliver(tmp_path / "fleet")
    adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")
    (tmp_path / "models/fw" / adapters.WEIGHTS).write_bytes(b"worse")
    adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")
    assert (tmp_path / "models/fw" / adapters.WEIGHTS).read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda fw: (fw / adapters.WEIGHTS).write_bytes(b"other"), "the manifest pins"),
        (lambda fw: (fw / adapters.WEIGHTS).unlink(), "no bytes"),
        (lambda fw: (fw / adapters.CONFIG).write_text('{"r": 9}'), "not the file that its provenance speaks of"),
        (lambda fw: (fw / adapters.PROVENANCE).unlink(), "no provenance"),
        (lambda fw: (fw / adapters.PROVENANCE).write_text("{"), "no provenance"),
    ],
)
@pytest.mark.requirement("S7.2-lineage")
def test_a_harmed_adapter_is_refused_by_its_file(tmp_path: Path, harm: object, said: str) -> None:
    pin = deliver(tmp_path / "fleet")
    harm(tmp_path / "fleet/fw")  # type: ignore[operator]  # a lambda of the table above
    with pytest.raises(BadDocument, match=said):
        adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")
    assert not (tmp_path / "models/fw").exists()


def test_an_unknown_signer_and_a_folder_without_signers_are_refused(tmp_path: Path) -> None:
    pin = deliver(tmp_path / "fleet", signer=OTHER)
    with pytest.raises(BadDocument, match=r"signers\.json"):
        adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")
    (tmp_path / "fleet" / adapters.SIGNERS).write_text("[]")
    with pytest.raises(BadDocument, match="raw Ed25519 key"):
        adapters.install(manifest(pin), tmp_path / "fleet", tmp_path / "models")


def test_a_policy_that_names_an_adapter_without_a_pin_is_refused_before_it_is_signed() -> None:
    policy = RoutingPolicy.model_validate_json((fleet_folder() / "routing-policy.json").read_bytes())
    kind = policy.kinds["embedded-fw-c"].model_copy(update={"adapters": {"s": "nobody"}})
    changed = policy.model_copy(update={"kinds": {"embedded-fw-c": kind}})
    known = manifest(AdapterPin(name="fw", digest=digest(b"")))
    with pytest.raises(BadDocument, match=r"kinds\.embedded-fw-c\.adapters\.s names 'nobody'"):
        adapters.refuse_unknown(changed, known, Path("routing-policy.json"))
