"""A request for a snapshot becomes a published snapshot or a rejection; both are evidence."""

import asyncio
import json
from collections.abc import Mapping

import structlog
from tierproof_bus import Bus, Received
from tierproof_bus.app import Service
from tierproof_contracts.dataset import DatasetPublishedV1, DatasetRejectedV1, DatasetRequestedV1
from tierproof_contracts.documents import DsseEnvelope
from tierproof_proofs.keys import load_or_create_key
from tierproof_proofs.snapshots import STATEMENT

from tierproof_curator import decide, ngrams, rejection, snapshot
from tierproof_curator.errors import BuildRefused, Contaminated, CuratorError, RecordRefused
from tierproof_curator.records import LineLimits, lines_of
from tierproof_curator.settings import CuratorServiceSettings

log = structlog.get_logger()
USER = "curator"
MOST_NAMED = 200
LONGEST_REASON = 2000


def service(settings: CuratorServiceSettings) -> Service:
    """Return the service."""
    app = Service(USER, settings)

    @app.on(DatasetRequestedV1, workers=1)
    async def build(request: Received[DatasetRequestedV1], bus: Bus) -> None:
        outcome = await asyncio.to_thread(outcome_of, request.data, settings)
        await bus.publish(outcome, cause=request)
        log.info("dataset.settled", request_id=request.data.request_id, outcome=type(outcome).__name__)

    return app


def outcome_of(asked: DatasetRequestedV1, settings: CuratorServiceSettings) -> DatasetPublishedV1 | DatasetRejectedV1:
    """Build what is asked, or say why not. A second request for the same records finds the snapshot standing."""
    try:
        built = _built(asked, settings)
    except CuratorError as refused:
        return _rejected(asked, refused)
    envelope = json.loads((built.folder / STATEMENT).read_text())
    return DatasetPublishedV1(
        request_id=asked.request_id,
        uid=built.uid,
        records=built.manifest["records"],
        labels=built.manifest["labels"],
        clean_of=tuple(built.manifest["clean_of"]),
        statement=built.statement,
        envelope=DsseEnvelope.model_validate(envelope),
    )


def _built(asked: DatasetRequestedV1, settings: CuratorServiceSettings) -> snapshot.Snapshot:
    path = settings.inbox / asked.records  # a name without a separator, by contract
    if not path.is_file():
        raise UnknownFile(f"{asked.records}: no such file in the inbox; put it there and ask again")
    known = sealed_sets(settings)
    if missing := sorted(set(asked.sealed) - known.keys()):
        raise UnknownSealedSet(f"{missing[0]}: no such sealed set here; deliver it to {settings.sealed}")
    signer = load_or_create_key(settings.key_file)
    try:
        return snapshot.build(
            lines_of(path, LineLimits(longest_line=settings.longest_line)),
            into=settings.datasets,
            rules=decide.Rules(labels=settings.labels, licences=settings.licences),
            sealed=[known[digest] for digest in asked.sealed],
            signer=signer,
            memory=settings.memory,
        )
    except Contaminated as refused:
        rejection.record(refused, path, into=settings.datasets, signer=signer)
        raise


def sealed_sets(settings: CuratorServiceSettings) -> Mapping[str, ngrams.SealedSet]:
    """Return the sealed sets of the folder, by digest."""
    found = [ngrams.read(path) for path in sorted(settings.sealed.glob("*.sealed"))]
    return {each.digest: each for each in found}


class UnknownFile(CuratorError):
    """A request names a file that is not in the inbox."""


class UnknownSealedSet(CuratorError):
    """A request names a sealed set that is not here."""


def _rejected(asked: DatasetRequestedV1, refused: CuratorError) -> DatasetRejectedV1:
    codes = {
        RecordRefused: "bad-record",
        Contaminated: "contaminated",
        UnknownFile: "unknown-file",
        UnknownSealedSet: "unknown-sealed-set",
        BuildRefused: "cannot-build",
    }
    named = tuple(record for record, _, _ in refused.found[:MOST_NAMED]) if isinstance(refused, Contaminated) else ()
    return DatasetRejectedV1(
        request_id=asked.request_id,
        code=codes.get(type(refused), "cannot-build"),
        because=refused.diagnosis()[:LONGEST_REASON],
        overlapping=named,
    )
