"""The only place where a subject is written.

`tierproof.<noun>.<participle>.v<N>.<routing token>.<key>`: what happened, in which version, for whom, to what. A key ends each
subject, so the streams can refuse a second publication.
"""

ROOT = "tierproof"


def token_of(digest: str) -> str:
    """Return a digest as a subject token."""
    return digest.replace(":", "-")


def task_submitted(tenant: str, task_id: str) -> str:
    """Written by the tenant's producers."""
    return f"{ROOT}.task.submitted.v1.{tenant}.{task_id}"


def task_accepted(task_id: str) -> str:
    """Written by the router."""
    return f"{ROOT}.task.accepted.v1.{task_id}"


def task_decided(task_id: str) -> str:
    """Written by the router."""
    return f"{ROOT}.task.decided.v1.{task_id}"


def task_expired(task_id: str) -> str:
    """Written by the broker's scheduler, from the router's timer."""
    return f"{ROOT}.task.expired.v1.{task_id}"


def timer_set(timer: str, task_id: str) -> str:
    """Written by the router: the schedule of a `task` or `review` deadline."""
    return f"{ROOT}.timer.set.v1.{timer}.{task_id}"


def inference_requested(tier: str, request_id: str) -> str:
    """Written by the router."""
    return f"{ROOT}.inference.requested.v1.{tier}.{request_id}"


def inference_settled(tier: str, request_id: str) -> str:
    """Written by the tier's worker."""
    return f"{ROOT}.inference.settled.v1.{tier}.{request_id}"


def verification_requested(kind: str, request_id: str) -> str:
    """Written by the router."""
    return f"{ROOT}.verification.requested.v1.{kind}.{request_id}"


def verification_settled(kind: str, request_id: str) -> str:
    """Written by a verifier."""
    return f"{ROOT}.verification.settled.v1.{kind}.{request_id}"


def review_requested(tenant: str, task_id: str) -> str:
    """Written by the router."""
    return f"{ROOT}.review.requested.v1.{tenant}.{task_id}"


def review_decided(tenant: str, task_id: str) -> str:
    """Written by the review door."""
    return f"{ROOT}.review.decided.v1.{tenant}.{task_id}"


def review_expired(task_id: str) -> str:
    """Written by the broker's scheduler, from the router's timer."""
    return f"{ROOT}.review.expired.v1.{task_id}"


def result_released(tenant: str, task_id: str) -> str:
    """Written by the evidence ledger."""
    return f"{ROOT}.result.released.v1.{tenant}.{task_id}"


def evidence_checkpointed(size: int) -> str:
    """Written by the evidence ledger."""
    return f"{ROOT}.evidence.checkpointed.v1.{size}"


def policy_published(name: str, digest: str) -> str:
    """Written by the registry."""
    return f"{ROOT}.policy.published.v1.{name}.{token_of(digest)}"


def model_revoked(digest: str) -> str:
    """Written by the registry."""
    return f"{ROOT}.model.revoked.v1.{token_of(digest)}"


def dataset_requested(request_id: str) -> str:
    """Written by ML engineers."""
    return f"{ROOT}.dataset.requested.v1.{request_id}"


def dataset_published(request_id: str) -> str:
    """Written by the curator."""
    return f"{ROOT}.dataset.published.v1.{request_id}"


def dataset_rejected(request_id: str) -> str:
    """Written by the curator."""
    return f"{ROOT}.dataset.rejected.v1.{request_id}"


def training_requested(lock: str) -> str:
    """Written by ML engineers."""
    return f"{ROOT}.training.requested.v1.{token_of(lock)}"


def training_completed(lock: str) -> str:
    """Written by the trainer, once per lock."""
    return f"{ROOT}.training.completed.v1.{token_of(lock)}"


def training_failed(lock: str, attempt: int) -> str:
    """Written by the trainer, once per attempt at a lock."""
    return f"{ROOT}.training.failed.v1.{token_of(lock)}.{attempt}"


def dead_lettered(service: str, stream: str, sequence: int) -> str:
    """Written by the service that gave up."""
    return f"{ROOT}.dead.lettered.v1.{service}.{stream.lower()}-{sequence}"


def publication_refused(service: str, event_id: str) -> str:
    """Written by the service whose publication came second."""
    return f"{ROOT}.publication.refused.v1.{service}.{event_id}"


def asked_of_ledger(question: str, user: str) -> str:
    """Request and reply: a question to the evidence ledger, by name (`story`, `proof`, ...), asked by a user of the broker.

    A user may publish questions under its own name alone: who asked is what the broker has checked.
    """
    return f"{ROOT}.ask.ledger.v1.{question}.{user}"


def every(event_type: str, *tokens: str) -> str:
    """Return the filter for all events of a type, or for those with the given routing tokens."""
    return ".".join((ROOT, event_type, *tokens, ">"))
