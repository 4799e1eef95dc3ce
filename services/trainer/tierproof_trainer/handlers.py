"""A lock comes, is admitted or refused, and trained once: its completion or its failure goes out."""

import asyncio
import json
import threading
from decimal import Decimal

import structlog
from tierproof_bus import Bus, Received
from tierproof_bus.app import Service
from tierproof_bus.errors import Transient
from tierproof_contracts import subjects
from tierproof_contracts.documents import DsseEnvelope, TrainingPolicy
from tierproof_contracts.train_lock import TrainLock
from tierproof_contracts.training import LearningCost, TrainingCompletedV1, TrainingFailedV1, TrainingRequestedV1

from tierproof_trainer import provenance, training
from tierproof_trainer.errors import TrainingRefused
from tierproof_trainer.settings import TrainerServiceSettings

log = structlog.get_logger()
USER = "trainer"
LONGEST_REASON, LONGEST_MEND = 1000, 500


def service(settings: TrainerServiceSettings) -> Service:
    """Return the service. One training at a time; the broker hears that it lives while it runs."""
    app = Service(USER, settings)

    @app.on(TrainingRequestedV1, workers=1)
    async def train(request: Received[TrainingRequestedV1], bus: Bus) -> None:
        await settle_training(request, bus, settings)

    return app


async def settle_training(request: Received[TrainingRequestedV1], bus: Bus, settings: TrainerServiceSettings) -> None:
    """Turn a request into its completion or this attempt's failure. Raises Transient when the same lock may succeed later."""
    lock = request.data.lock
    if await bus.read(TrainingCompletedV1, subjects.training_completed(lock.digest())) is not None:
        return
    policy = await bus.document_in_force("training-policy")
    try:
        done = await _trained(lock, policy, settings)
    except TrainingRefused as refused:
        await _publish_failure(request, bus, refused)
        if refused.again:
            raise Transient(refused.diagnosis()) from refused
        return
    await bus.publish(completed(lock, done), cause=request)
    log.info("training.completed", lock=lock.digest(), name=lock.name, artifact=done.artifact)


async def _trained(lock: TrainLock, policy: TrainingPolicy, settings: TrainerServiceSettings) -> training.Signed:
    """Train in a thread; when this is cancelled the thread stops its process, which resumes at the next delivery."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(training.train, lock, policy, settings, lambda _: None, stop.is_set)
    finally:
        stop.set()


async def _publish_failure(request: Received[TrainingRequestedV1], bus: Bus, refused: TrainingRefused) -> None:
    lock = request.data.lock
    attempt = await _next_attempt(lock.digest(), bus)
    failed = TrainingFailedV1(
        lock=lock.digest(),
        name=lock.name,
        attempt=attempt,
        code=refused.code,
        because=refused.because[:LONGEST_REASON],
        mend=refused.mend[:LONGEST_MEND],
        again=refused.again,
    )
    await bus.publish(failed, cause=request, ordinal=attempt)
    log.warning("training.failed", lock=lock.digest(), name=lock.name, code=refused.code, attempt=attempt)


async def _next_attempt(lock: str, bus: Bus) -> int:
    """Return the first attempt of which no failure is told: deliveries are counted anew after a redrive, attempts are not."""
    attempt = 1
    while await bus.read(TrainingFailedV1, subjects.training_failed(lock, attempt)) is not None:
        attempt += 1
    return attempt


def completed(lock: TrainLock, done: training.Signed) -> TrainingCompletedV1:
    """Return the event that tells of a signed artifact."""
    told = done.job.progress
    return TrainingCompletedV1(
        lock=lock.digest(),
        name=lock.name,
        stage=lock.stage,
        artifact=done.artifact,
        files=dict(done.job.files),
        dataset=lock.dataset.uid,
        parent=lock.parent.adapter or lock.parent.weights,
        first_loss=decimal_of(told[0]["loss"]),
        last_loss=decimal_of(told[-1]["loss"]),
        cost=LearningCost(
            steps=done.job.steps,
            tokens=done.job.tokens,
            cpu_ms=round(1000 * told[-1]["cpu_seconds"]),
            wall_ms=round(1000 * told[-1]["seconds"]),
            peak_mib=max(line["peak_mib"] for line in told),
            resumed=done.job.resumed,
        ),
        provenance=DsseEnvelope.model_validate(json.loads((done.folder / provenance.PROVENANCE).read_text())),
    )


def decimal_of(number: float) -> str:
    """Return a number as a decimal text of six places, without an exponent."""
    return format(Decimal(str(number)).quantize(Decimal("0.000001")).normalize(), "f")
