"""The first start makes this folder its own authority: keys, signed documents, and the trust file that names them. Said loudly."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from tierproof_contracts.documents import FleetManifest, Reviewer, Reviewers, RoutingPolicy, Steering
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier, load_or_create_key, load_or_create_mldsa44_key
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.trust import Trust

from tierproof_embedded import adapters, ledger, log_keys, tsa, witness
from tierproof_embedded.documents import SignedDocument, fleet_folder, read_document, sign
from tierproof_embedded.errors import BadDocument, StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.model_server import adapters_folder
from tierproof_embedded.notice import Notice
from tierproof_embedded.pins import Pins, filled, open_pins
from tierproof_embedded.ports import write_whole
from tierproof_embedded.settings import EmbeddedSettings

DEMO_REVIEWER = "demo-reviewer"


def establish(layout: Layout, settings: EmbeddedSettings, pins: Callable[[], Pins]) -> list[Notice]:
    """Create keys that are missing, sign the documents, write the trust file. Raises BadDocument and StepFailed.

    `pins` is asked only when a fleet manifest leaves digests open.
    """
    try:
        return _established(layout, settings, pins)
    except ProofError as error:
        raise StepFailed(step="taking the keys of this folder", said=error.diagnosis()) from error


def _established(layout: Layout, settings: EmbeddedSettings, pins: Callable[[], Pins]) -> list[Notice]:
    signer = load_or_create_key(layout.keys / "documents.pem")
    reviewer = load_or_create_key(layout.keys / f"{DEMO_REVIEWER}.pem")
    log_keys.ensure_first(layout)
    folder = settings.fleet or fleet_folder()
    documents = [_pinned(read_document(path), path, pins) for path in sorted(folder.glob("*.json"))]
    _with_adapters(documents, folder, layout, settings)
    reviewers = next((document for document in documents if isinstance(document, Reviewers)), None)
    if reviewers is None:
        reviewers = demo_reviewers(reviewer)
        documents.append(reviewers)
    signed = sign(documents, signer, layout.documents)
    rows = [{"name": each.name, "digest": each.digest, "file": each.path.name} for each in signed]
    write_whole(layout.documents / "in-force.json", json.dumps(rows, indent=2) + "\n")
    post_quantum = Cosigner(name=settings.log_name, signer=load_or_create_mldsa44_key(ledger.log_pq_key(layout)))
    trust = Trust(
        log_keys=(*log_keys.believed(layout, settings.log_name), LogKey(key=post_quantum.verifier_key)),
        witnesses=witness.verifier_keys(layout, settings),
        quorum=witness.QUORUM,
        reviewers={name: Ed25519Verifier.from_base64(who.public_key) for name, who in reviewers.reviewers.items()},
        documents={"embedded": Ed25519Verifier(signer.public_key)},
        time_stamping=tsa.certificates(layout, settings),
    )
    write_whole(layout.trust, trust.to_json())
    return notices(signed, layout)


def _pinned(document: Steering, path: Path, pins: Callable[[], Pins]) -> Steering:
    if not isinstance(document, FleetManifest) or not open_pins(document):
        return document
    found = filled(document, pins())
    still_open = open_pins(found)
    if still_open:
        raise BadDocument(path=path, why=f"{still_open[0]} is open, and no local model server can fill it")
    return found


def _with_adapters(documents: list[Steering], folder: Path, layout: Layout, settings: EmbeddedSettings) -> None:
    """Take the pinned adapters into this folder, unless a real model server has them; the policy names no others."""
    manifest = next((document for document in documents if isinstance(document, FleetManifest)), None)
    if manifest is None:
        return
    for policy in documents:
        if isinstance(policy, RoutingPolicy):
            adapters.refuse_unknown(policy, manifest, folder / "routing-policy.json")
    if settings.triton_url is None:
        adapters.install(manifest, folder / "adapters", adapters_folder(layout))


def demo_reviewers(reviewer: Ed25519Signer) -> Reviewers:
    """Return the document that lets the demo's reviewer, whose key lies in this folder, decide reviews of every kind."""
    person = Reviewer(printed_name="Demo Reviewer", public_key=b64encode(reviewer.public_key).decode())
    return Reviewers(version="1", reviewers={DEMO_REVIEWER: person})


def notices(signed: list[SignedDocument], layout: Layout) -> list[Notice]:
    """Return what to say about signed documents: loudly about those that this folder has not signed before."""
    fresh = [each for each in signed if each.fresh]
    if not fresh:
        return []
    return [
        Notice(
            text=f"Signing with the key in {layout.keys}: a stand-in for a key service. Whoever reads that folder can sign as "
            "this stack. Read what is signed now:",
            loud=True,
        ),
        *(Notice(text=f"  {each.name}  {each.digest}", loud=True) for each in fresh),
    ]
