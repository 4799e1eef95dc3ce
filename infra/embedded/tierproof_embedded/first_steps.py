"""What the broker needs before services start: the topology laid out, and the signed documents in force. Repeating it is harmless."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import structlog
from tierproof_bus.bus import Bus
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.settings import BusSettings
from tierproof_contracts.documents import DocumentName, DsseEnvelope, PolicyPublishedV1

from tierproof_embedded import keys
from tierproof_embedded.errors import NotInForce
from tierproof_embedded.layout import Layout

log = structlog.get_logger()
PUBLICATION = uuid.UUID("5f0f5f0e-8d0c-5d3b-9a33-6f1f0d6e1c52")


async def lay_out(
    layout: Layout, bus: BusSettings, documents: Sequence[tuple[DocumentName, str, Path]], deployment: Deployment
) -> None:
    """Lay the topology out, publish the documents (name, digest, envelope's file), and see that they are in force.

    Raises BusError, and NotInForce when a later publication of another version stands before one.
    """
    done = await provision(_as(bus, layout, "provisioner"), deployment)
    log.info("embedded.provisioned", created=sum(change == "created" for change in done.values()), total=len(done))
    async with Bus.connect("registry", _as(bus, layout, "registry")) as registry:
        for name, digest, path in documents:
            envelope = DsseEnvelope.model_validate(json.loads(path.read_text()))
            event = PolicyPublishedV1(name=name, digest=digest, envelope=envelope)
            await registry.publish(event, event_id=str(uuid.uuid5(PUBLICATION, f"{name}/{digest}")))
            if (await registry.document_in_force(name)).digest() != digest:
                raise NotInForce(name=name, digest=digest)
            log.info("embedded.document_in_force", name=name, digest=digest)


def _as(bus: BusSettings, layout: Layout, user: str) -> BusSettings:
    return bus.model_copy(update={"nkey_seed_file": keys.seed_file(layout.keys, user)})
