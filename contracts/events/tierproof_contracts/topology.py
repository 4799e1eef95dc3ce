"""Streams, consumers and users: who may say and hear what. Frozen data; only the provisioner acts on it."""

from dataclasses import dataclass

from tierproof_contracts import subjects
from tierproof_contracts.subjects import ROOT, every

DAY = 24 * 3600
TIERS = ("s", "m", "l", "v", "e")
ADVISORIES = "$JS.EVENT.ADVISORY.CONSUMER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A JetStream stream. Ages in seconds, 0 for ever; `publish_once` refuses a second message on a subject."""

    name: str
    subjects: tuple[str, ...]
    max_age: int
    publish_once: bool = True
    schedules: bool = False
    keep_for_ever: bool = False
    discard_old: bool = False
    replicas: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A durable pull consumer. `ack_wait` in seconds; `max_deliver` -1 without limit; `acks_all` acks a batch by its last."""

    service: str
    durable: str
    stream: str
    filters: tuple[str, ...]
    ack_wait: float = 30.0
    max_deliver: int = 8
    max_ack_pending: int = 64
    acks_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A NATS user with its NKey and allow lists. What is not listed is denied.

    One that `answers` may also publish, once, to the reply subject of a question that it received.
    """

    name: str
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    manages_streams: bool = False
    answers: tuple[str, ...] = ()
    durables: tuple[str, ...] = ()


STREAMS: tuple[Stream, ...] = (
    Stream(
        name="TASK",
        subjects=tuple(every(t) for t in ("task.submitted.v1", "task.accepted.v1", "task.decided.v1")),
        max_age=400 * DAY,
    ),
    Stream(
        name="INFERENCE",
        subjects=tuple(every(t) for t in ("inference.requested.v1", "inference.settled.v1")),
        max_age=30 * DAY,
    ),
    Stream(
        name="VERIFICATION",
        subjects=tuple(every(t) for t in ("verification.requested.v1", "verification.settled.v1")),
        max_age=30 * DAY,
    ),
    Stream(
        name="REVIEW", subjects=tuple(every(t) for t in ("review.requested.v1", "review.decided.v1")), max_age=400 * DAY
    ),
    # A stream that allows schedules lets its writers reach every subject in it: only the router may write here.
    Stream(
        name="TIMER",
        subjects=tuple(every(t) for t in ("timer.set.v1", "task.expired.v1", "review.expired.v1")),
        max_age=400 * DAY,
        schedules=True,
    ),
    Stream(name="RESULT", subjects=(every("result.released.v1"),), max_age=30 * DAY),
    Stream(name="EVIDENCE", subjects=(every("evidence.checkpointed.v1"),), max_age=30 * DAY),
    Stream(
        name="MODEL",
        subjects=tuple(every(t) for t in ("policy.published.v1", "model.revoked.v1")),
        max_age=0,
        keep_for_ever=True,
    ),
    Stream(
        name="DEAD",
        subjects=tuple(every(t) for t in ("dead.lettered.v1", "publication.refused.v1")),
        max_age=0,
        keep_for_ever=True,
    ),
    Stream(
        name="ADVISORY",
        subjects=(f"{ADVISORIES}.MAX_DELIVERIES.>", f"{ADVISORIES}.MSG_TERMINATED.>"),
        max_age=30 * DAY,
        publish_once=False,
        discard_old=True,
        replicas=1,
    ),
    Stream(
        name="TRAINING",
        subjects=tuple(every(t) for t in ("training.requested.v1", "training.completed.v1", "training.failed.v1")),
        max_age=0,
        keep_for_ever=True,
    ),
    Stream(
        name="DATASET",
        subjects=tuple(every(t) for t in ("dataset.requested.v1", "dataset.published.v1", "dataset.rejected.v1")),
        max_age=0,
        keep_for_ever=True,
    ),
)

ROUTER_EVENTS = {
    "task.submitted.v1": "TASK",
    "inference.settled.v1": "INFERENCE",
    "verification.settled.v1": "VERIFICATION",
    "review.decided.v1": "REVIEW",
    "task.expired.v1": "TIMER",
    "review.expired.v1": "TIMER",
}
SUBJECTS = {stream.name: stream.subjects for stream in STREAMS}
UNHEARD = {"RESULT", "EVIDENCE"}  # by the ledger: it writes them itself
LEDGER_STREAMS = {name: filters for name, filters in SUBJECTS.items() if name not in UNHEARD} | {
    "TIMER": tuple(every(t) for t in ("task.expired.v1", "review.expired.v1"))
}


def durable_of(service: str, event_type: str) -> str:
    """Return the durable's name: `<service>--<noun>-<participle>`, without the version."""
    noun, participle, _version = event_type.split(".")
    return f"{service}--{noun}-{participle}"


CONSUMERS: tuple[Consumer, ...] = (
    *(
        Consumer(service="router", durable=durable_of("router", event), stream=stream, filters=(every(event),))
        for event, stream in ROUTER_EVENTS.items()
    ),
    Consumer(service="router", durable="router--delivery-advised", stream="ADVISORY", filters=SUBJECTS["ADVISORY"]),
    *(
        Consumer(
            service=f"inference-worker-{tier}",
            durable=f"inference-worker-{tier}--requested",
            stream="INFERENCE",
            filters=(every("inference.requested.v1", tier),),
            max_ack_pending=32,
        )
        for tier in TIERS
    ),
    Consumer(
        service="verifier",
        durable="verifier--requested",
        stream="VERIFICATION",
        filters=(every("verification.requested.v1"),),
    ),
    *(
        Consumer(
            service=service,
            durable=durable_of(service, event),
            stream=stream,
            filters=(every(event),),
            max_ack_pending=1,
        )
        for service, event, stream in (
            ("curator", "dataset.requested.v1", "DATASET"),
            ("trainer", "training.requested.v1", "TRAINING"),
        )
    ),
    *(
        Consumer(
            service="evidence-ledger",
            durable=f"evidence-ledger--{stream.lower()}",
            stream=stream,
            filters=filters,
            max_deliver=-1,
            max_ack_pending=8192,
            acks_all=True,
        )
        for stream, filters in LEDGER_STREAMS.items()
    ),
)


def _incidents(service: str) -> tuple[str, ...]:
    return tuple(f"{ROOT}.{event}.{service}.*" for event in ("dead.lettered.v1", "publication.refused.v1"))


SERVICES: tuple[User, ...] = (
    User(
        name="router",
        publishes=(
            *(
                every(event)
                for event in (
                    "task.accepted.v1",
                    "task.decided.v1",
                    "timer.set.v1",
                    "inference.requested.v1",
                    "verification.requested.v1",
                    "review.requested.v1",
                )
            ),
            *_incidents("router"),
        ),
        reads=("TASK", "INFERENCE", "VERIFICATION", "REVIEW", "TIMER", "MODEL", "DEAD"),
    ),
    *(
        User(
            name=f"inference-worker-{tier}",
            publishes=(every("inference.settled.v1", tier), *_incidents(f"inference-worker-{tier}")),
            reads=("INFERENCE", "MODEL"),
        )
        for tier in TIERS
    ),
    User(
        name="verifier",
        publishes=(every("verification.settled.v1"), *_incidents("verifier")),
        reads=("VERIFICATION", "MODEL"),
    ),
    User(
        name="curator",
        publishes=(every("dataset.published.v1"), every("dataset.rejected.v1"), *_incidents("curator")),
        reads=("DATASET", "MODEL"),
    ),
    User(
        name="trainer",
        publishes=(every("training.completed.v1"), every("training.failed.v1"), *_incidents("trainer")),
        reads=("TRAINING", "MODEL"),
    ),
    User(
        name="evidence-ledger",
        publishes=(every("result.released.v1"), every("evidence.checkpointed.v1"), *_incidents("evidence-ledger")),
        reads=tuple(stream.name for stream in STREAMS),
        answers=(subjects.asked_of_ledger("*", "*"),),
    ),
)

PEOPLE: tuple[User, ...] = (
    User(name="registry", publishes=(every("policy.published.v1"), every("model.revoked.v1")), reads=("MODEL",)),
    User(
        name="ml-engineer",
        publishes=(every("dataset.requested.v1"), every("training.requested.v1")),
        reads=("DATASET", "TRAINING", "MODEL"),
    ),
    User(name="reviewer", publishes=(every("review.decided.v1"),), reads=("REVIEW",)),
    User(
        name="auditor",
        publishes=(subjects.asked_of_ledger("*", "auditor"),),
        subscribes=(every("result.released.v1"),),
        reads=("TASK", "INFERENCE", "VERIFICATION", "REVIEW", "RESULT", "EVIDENCE", "MODEL", "DEAD"),
    ),
    User(name="provisioner", manages_streams=True),
)


def producer(tenant: str, durables: tuple[str, ...] = ("results",)) -> User:
    """Return the user of a tenant's programs: submits and hears results of its own tenant only.

    `durables` are the names under which it may keep its place in the results: `app-<tenant>--<name>` on the stream RESULT.
    """
    return User(
        name=f"app-{tenant}",
        publishes=(every("task.submitted.v1", tenant), subjects.asked_of_ledger("proof", f"app-{tenant}")),
        subscribes=(every("result.released.v1", tenant),),
        durables=durables,
    )


def stream_of(subject: str) -> str:
    """Return the stream that stores a subject; raises KeyError when none does."""
    for stream in STREAMS:
        if any(subject.startswith(pattern.removesuffix(">")) for pattern in stream.subjects):
            return stream.name
    raise KeyError(subject)


def consumers_of(service: str) -> tuple[Consumer, ...]:
    """Return a service's durables."""
    return tuple(consumer for consumer in CONSUMERS if consumer.service == service)


def inbox_of(user: str) -> str:
    """Return the prefix under which a user receives replies; nobody else may subscribe to it."""
    return f"_INBOX_{user}"
