"""Curator and trainer as parts of the stack (`tierproof up --training`): from records in an inbox to signed adapters, by event."""

import json
import shutil
from pathlib import Path

from tierproof_proofs.keys import load_or_create_key

from tierproof_embedded.documents import fleet_folder
from tierproof_embedded.layout import Layout
from tierproof_embedded.services import Service
from tierproof_embedded.settings import EmbeddedSettings

NAMES = ("curator", "trainer")
EXAMINATIONS = "examinations"


def services(layout: Layout, settings: EmbeddedSettings, needs: tuple[str, ...]) -> tuple[Service, ...]:
    """Return both services, none unless the stack trains; creates their folders and keys, and brings the fleet's examinations."""
    if not settings.training:
        return ()
    at, curator = layout.training, layout.keys / "curator.pem"
    for folder in (at / "inbox", at / "sealed", at / "datasets"):
        folder.mkdir(parents=True, exist_ok=True)
    _deliver((settings.fleet or fleet_folder()) / EXAMINATIONS, at / "sealed")
    believed = [load_or_create_key(curator).public_base64]
    return (
        Service(
            name="curator",
            module="tierproof_curator",
            needs=needs,
            environment={
                "TIERPROOF_CURATOR_DATASETS": str(at / "datasets"),
                "TIERPROOF_CURATOR_INBOX": str(at / "inbox"),
                "TIERPROOF_CURATOR_SEALED": str(at / "sealed"),
                "TIERPROOF_CURATOR_KEY_FILE": str(curator),
            },
        ),
        Service(
            name="trainer",
            module="tierproof_trainer",
            needs=needs,
            environment={
                "TIERPROOF_TRAINER_DATASETS": str(at / "datasets"),
                "TIERPROOF_TRAINER_JOBS": str(at / "jobs"),
                "TIERPROOF_TRAINER_BASES": str(at / "bases"),
                "TIERPROOF_TRAINER_KEY_FILE": str(layout.keys / "trainer.pem"),
                "TIERPROOF_TRAINER_DATASET_KEYS": json.dumps(believed),
            },
        ),
    )


def _deliver(examinations: Path, sealed: Path) -> None:
    for path in sorted(examinations.glob("*.sealed")):
        if not (sealed / path.name).exists():
            shutil.copyfile(path, sealed / path.name)
