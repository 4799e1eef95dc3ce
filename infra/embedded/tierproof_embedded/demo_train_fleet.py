"""The fleet's documents with a new adapter in place of the delivered ones, as a person would write them: pinned, named, signed for."""

import json
import shutil
from pathlib import Path

from tierproof_contracts.documents import Document, FleetManifest, RoutingPolicy, TrainingPolicy
from tierproof_contracts.inference import AdapterPin
from tierproof_proofs.keys import load_key

from tierproof_embedded.adapters import SIGNERS
from tierproof_embedded.documents import fleet_folder, read_document
from tierproof_embedded.errors import BadDocument

FLEET = Path("fleet")  # below the demo's folder
POLICY = FLEET / "training-policy.json"


def with_suite(delivered: Path, to: Path, suite: str, digest: str) -> None:
    """Write the training policy with one examination more: what is trained from now on must be shown to be free of it."""
    policy = read_document(delivered)
    if not isinstance(policy, TrainingPolicy):
        raise BadDocument(path=delivered, why="it is no training policy")
    _write(policy.model_copy(update={"suites": {**policy.suites, suite: digest}}), to)


def with_adapter(folder: Path, artifact: Path, pin: AdapterPin, kind: str, signer: Path) -> None:
    """Write the other documents and the adapter; every tier asks it for tasks of its kind. Raises BadDocument."""
    into = folder / FLEET
    adapters = into / "adapters"
    shutil.copytree(artifact, adapters / pin.name)
    (adapters / SIGNERS).write_text(json.dumps({"demo-trainer": load_key(signer).public_base64}) + "\n")
    for path in sorted(fleet_folder().glob("*.json")):
        document = read_document(path)
        if isinstance(document, FleetManifest):
            _write(document.model_copy(update={"adapters": {pin.name: pin}}), into / path.name)
        elif isinstance(document, RoutingPolicy):
            _write(_asking(document, pin.name, kind), into / path.name)
        elif not isinstance(document, TrainingPolicy):
            shutil.copyfile(path, into / path.name)


def _asking(policy: RoutingPolicy, name: str, kind: str) -> RoutingPolicy:
    """Return the policy that asks one adapter for one kind, and none for the others."""
    kinds = {
        each: rules.model_copy(update={"adapters": dict.fromkeys(rules.adapters, name) if each == kind else {}})
        for each, rules in policy.kinds.items()
    }
    return policy.model_copy(update={"kinds": kinds})


def _write(document: Document, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(document.model_dump(mode="json", exclude_none=True), indent=2) + "\n")
