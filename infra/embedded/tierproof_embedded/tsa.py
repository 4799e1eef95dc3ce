"""The time-stamp authority as a part of a stack: an own one, unless somebody else's is named (which proves more)."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from tierproof_tsa.errors import TsaError
from tierproof_tsa.identity import Making, load_or_create
from tierproof_tsa.settings import TsaSettings

from tierproof_embedded import ports
from tierproof_embedded.endpoints import Endpoints
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.nats_server import answers_ok
from tierproof_embedded.process import Command
from tierproof_embedded.services import OURS
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part

TSA = "tsa"
PREFIX = "TIERPROOF_TSA_"
STEP = "taking the time-stamp authority's certificate"


def files(layout: Layout) -> dict[str, Path]:
    """Return the own authority's files by the name of their setting."""
    return {
        "key_file": layout.keys / "tsa.key.pem",
        "certificate_file": layout.keys / "tsa.pem",
        "state_file": layout.tsa / "last-time",
    }


def certificate_file(layout: Layout, settings: EmbeddedSettings) -> Path:
    """Return the file of the certificates that count: of the named authority, or the own one's."""
    return settings.tsa_certificates or files(layout)["certificate_file"]


def certificates(layout: Layout, settings: EmbeddedSettings) -> tuple[str, ...]:
    """Return the certificates (PEM) for the trust file; the own authority's key and certificate are made at the first call.

    Raises StepFailed.
    """
    if (settings.tsa_url is None) != (settings.tsa_certificates is None):
        raise StepFailed(
            step=STEP, said="TIERPROOF_TSA_URL and TIERPROOF_TSA_CERTIFICATES are set together, or neither"
        )
    try:
        if settings.tsa_url is None:
            _make(layout)
        found = load_pem_x509_certificates(certificate_file(layout, settings).read_bytes())
    except TsaError as error:
        raise StepFailed(step=STEP, said=error.diagnosis()) from error
    except (OSError, ValueError) as error:
        raise StepFailed(step=STEP, said=f"{certificate_file(layout, settings)}: {error}") from error
    return tuple(each.public_bytes(Encoding.PEM).decode() for each in found)


def _make(layout: Layout) -> None:
    chosen = TsaSettings()
    making = Making(name=chosen.name, days=chosen.certificate_days, at=datetime.now(UTC))
    load_or_create(files(layout)["key_file"], files(layout)["certificate_file"], making)


def ledger_environment(layout: Layout, settings: EmbeddedSettings, endpoints: Endpoints) -> dict[str, str]:
    """Return what the evidence ledger is told: where the authority is, and whose word counts as its own."""
    return {
        "TIERPROOF_EVIDENCE_LEDGER_TSA_URL": endpoints.tsa_url,
        "TIERPROOF_EVIDENCE_LEDGER_TSA_CERTIFICATES": str(certificate_file(layout, settings).absolute()),
    }


def tsa_parts(layout: Layout, settings: EmbeddedSettings, endpoints: Endpoints) -> list[Part]:
    """Return the own authority as a part; none when another one is named."""
    if settings.tsa_url is not None:
        return []
    port = endpoints.ports[TSA]

    def command() -> Command:
        ports.require_free({TSA: port})
        tuning = {name: value for name, value in os.environ.items() if name.startswith((PREFIX, f"{OURS}LOG_LEVEL"))}
        own = {f"{PREFIX}{name.upper()}": str(path) for name, path in files(layout).items()}
        place = {f"{PREFIX}HTTP_HOST": ports.LOOPBACK, f"{PREFIX}HTTP_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        return Command(argv=(sys.executable, "-m", "tierproof_tsa", "serve"), environment=tuning | own | place)

    return [
        Part(
            name=TSA,
            command=command,
            ready=lambda: answers_ok(port, "/readyz"),
            alive=lambda: answers_ok(port, "/livez"),
        )
    ]
