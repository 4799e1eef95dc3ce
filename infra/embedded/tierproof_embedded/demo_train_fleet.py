"""The delivered fleet with one adapter more, as a person would add it: its files, who signs for it, its pin, the kind that asks it."""

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
    """Write the other documents and the adapters; every tier that asks one for this kind asks the new one. Raises BadDocument."""
    into, delivered = folder / FLEET, fleet_folder()
    adapters = into / "adapters"
    shutil.copytree(delivered / "adapters", adapters)
    shutil.copytree(artifact, adapters / pin.name)
    trusted = json.loads((adapters / SIGNERS).read_text())
    (adapters / SIGNERS).write_text(json.dumps({**trusted, "demo-trainer": load_key(signer).public_base64}) + "\n")
    for path in sorted(delivered.glob("*.json")):
        document = read_document(path)
        if isinstance(document, FleetManifest):
            _write(document.model_copy(update={"adapters": {**document.adapters, pin.name: pin}}), into / path.name)
        elif isinstance(document, RoutingPolicy):
            _write(_asking(document, pin.name, kind), into / path.name)
        elif not isinstance(document, TrainingPolicy):
            shutil.copyfile(path, into / path.name)


def _asking(policy: RoutingPolicy, name: str, kind: str) -> RoutingPolicy:
    """Return the policy that asks this adapter where it asked another for one kind."""
    rules = policy.kinds[kind]
    changed = rules.model_copy(update={"adapters": dict.fromkeys(rules.adapters, name)})
    return policy.model_copy(update={"kinds": {**policy.kinds, kind: changed}})


def _write(document: Document, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(document.model_dump(mode="json", exclude_none=True), indent=2) + "\n")
