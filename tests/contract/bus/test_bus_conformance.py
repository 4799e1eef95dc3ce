"""The broker in memory keeps the promises of the real one: the same tests for both."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from tierproof_bus import Bus, BusSettings, NotPermitted, Received, TooLarge, Transient, UntrustedDocument
from tierproof_bus.documents import PAYLOAD_TYPE
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.testing import MemoryBroker
from tierproof_contracts import subjects
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import DsseEnvelope, PolicyPublishedV1, Reviewers
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.errors import Unreadable
from tierproof_contracts.ids import event_id_of, task_id_of
from tierproof_contracts.incident import PublicationRefusedV1
from tierproof_contracts.task import Failed, TaskDecidedV1, TaskExpiredV1, TaskSubmittedV1
from tierproof_contracts.text import Text
from tierproof_embedded.testing import NatsServer
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier

As = Callable[[str], AbstractAsyncContextManager[Bus]]
KEY = Ed25519Signer.from_seed(b"\x01" * 32)
STRANGER = Ed25519Signer.from_seed(b"\x02" * 32)
TRUSTED = {"registry": Ed25519Verifier(KEY.public_key)}

pytestmark = pytest.mark.requirement("BUS-contracts")


@pytest.fixture(params=["memory", "nats"])
async def as_user(request: pytest.FixtureRequest) -> As:
    """Open a bus as a user, on a fresh broker of either sort."""
    if request.param == "memory":
        memory = MemoryBroker()

        @contextlib.asynccontextmanager
        async def opened(user: str) -> AsyncIterator[Bus]:
            yield memory.bus(user, TRUSTED)

        return opened
    server: NatsServer = request.getfixturevalue("nats_server")

    def settings(user: str) -> BusSettings:
        return BusSettings(nats_url=server.bare_url, nkey_seed_file=server.seed_file(user))

    await provision(settings("provisioner"), Deployment())

    @contextlib.asynccontextmanager
    async def connected(user: str) -> AsyncIterator[Bus]:
        async with Bus.connect(user, settings(user)) as bus:
            bus._documents._signers = TRUSTED
            yield bus

    return connected


def submission(key: str = "1", words: str = "say hello") -> TaskSubmittedV1:
    return TaskSubmittedV1(
        tenant="acme",
        task_id=task_id_of("acme", key),
        kind="greeting",
        safety_class="A",
        prompt=Text(text=words, salt="00" * 16),
        actor="tester",
    )


def decision(because: str = "for the test") -> TaskDecidedV1:
    outcome = Failed(code="internal", detail=because)
    return TaskDecidedV1(task_id=submission().task_id, tenant="acme", outcome=outcome, because=because, cites=())


async def submitted(as_user: As) -> Received[TaskSubmittedV1]:
    async with as_user("app-acme") as acme, as_user("router") as router:
        await acme.publish(submission())
        found = await router.read(TaskSubmittedV1, submission().subject())
    assert found is not None
    return found


async def test_an_envelope_says_who_what_when_and_why(as_user: As) -> None:
    cause = await submitted(as_user)
    async with as_user("router") as router:
        published = await router.publish(decision(), cause=cause, ordinal=2)
        envelope = published.envelope
        assert (envelope.type, envelope.source) == ("task.decided.v1", "router")
        assert envelope.id == event_id_of(cause.id, "task.decided.v1", 2)
        assert (envelope.causationid, envelope.correlationid) == (cause.id, cause.envelope.correlationid)
        assert (envelope.subject, envelope.dataschema) == (submission().task_id, "task.decided.v1.json")
        found = await router.read(TaskDecidedV1, decision().subject())
        assert found is not None
        assert found.envelope.to_bytes() == envelope.to_bytes()
        assert (found.sequence, found.stream, found.attempt) == (published.sequence, "TASK", 1)
        assert found.citation == envelope.citation()
        by_sequence = await router.read_sequence("TASK", published.sequence)
        assert by_sequence is not None
        assert by_sequence.id == envelope.id


async def test_the_same_event_again_is_the_stored_one(as_user: As) -> None:
    cause = await submitted(as_user)
    async with as_user("router") as router:
        first = await router.publish(decision(), cause=cause)
        again = await router.publish(decision("other words"), cause=cause)
        assert (first.stored, again.stored) == ("new", "same")
        assert again.envelope.to_bytes() == first.envelope.to_bytes()


async def test_another_event_on_a_taken_subject_is_a_conflict_on_record(as_user: As) -> None:
    cause = await submitted(as_user)
    async with as_user("router") as router, as_user("auditor") as auditor:
        first = await router.publish(decision(), cause=cause)
        for _ in range(2):
            second = await router.publish(decision(), cause=cause, ordinal=1)
            assert (second.stored, second.envelope.id) == ("conflict", first.envelope.id)
        found = await auditor.read_sequence("DEAD", 1)
        assert found is not None
        assert isinstance(found.data, PublicationRefusedV1)
        assert found.data.taken_subject == decision().subject()
        assert await auditor.read_sequence("DEAD", 2) is None


async def test_nothing_there_is_none(as_user: As) -> None:
    async with as_user("router") as router:
        assert await router.read(TaskSubmittedV1, submission().subject()) is None
        assert await router.read_sequence("TASK", 7) is None


async def test_an_event_read_as_another_type_is_unreadable(as_user: As) -> None:
    await submitted(as_user)
    async with as_user("router") as router:
        with pytest.raises(Unreadable, match=r"task\.submitted\.v1"):
            await router.read(TaskDecidedV1, submission().subject())


async def test_users_say_and_read_what_the_topology_gives_them(as_user: As) -> None:
    cause = await submitted(as_user)
    async with as_user("verifier") as verifier, as_user("app-globex") as globex, as_user("app-acme") as acme:
        with pytest.raises(NotPermitted, match="verifier"):
            await verifier.publish(decision(), cause=cause)
        with pytest.raises(NotPermitted, match="app-globex"):
            await globex.publish(submission("2"))
        with pytest.raises(NotPermitted, match="app-globex"):
            await globex.read(TaskSubmittedV1, submission().subject())
        assert (await acme.publish(submission())).stored == "same"


async def test_an_oversized_event_is_refused_with_its_size(as_user: As) -> None:
    async with as_user("app-acme") as acme:
        with pytest.raises(TooLarge) as error:
            await acme.publish(submission(words="x" * 9_000_000))
        assert error.value.size > 9_000_000 > error.value.limit


async def test_a_timer_set_twice_is_one_timer(as_user: As) -> None:
    cause = await submitted(as_user)
    at = cause.stored_at + timedelta(days=1)
    expired = TaskExpiredV1(task_id=cause.data.task_id, tenant="acme", deadline="2030-01-01T00:00:00Z")
    timer = subjects.timer_set("task", cause.data.task_id)
    async with as_user("router") as router:
        first = await router.publish_after(expired, at=at, timer=timer, cause=cause)
        again = await router.publish_after(expired, at=at, timer=timer, cause=cause)
        assert (first.stored, again.stored) == ("new", "same")
        assert await router.read(TaskExpiredV1, expired.subject()) is None, "not before its time"


def published(version: str, signer: Ed25519Signer = KEY, **changes: Any) -> PolicyPublishedV1:
    document = Reviewers(version=version, reviewers={})
    payload = canonical_json(document.model_dump(mode="json", exclude_none=True))
    sealed = sign_envelope(changes.pop("payload_type", PAYLOAD_TYPE), payload, [signer])
    fields: dict[str, Any] = {"name": "reviewers", "digest": document.digest(), "envelope": DsseEnvelope(**sealed)}
    return PolicyPublishedV1(**(fields | changes))


async def test_the_document_in_force_is_the_last_one_and_older_ones_stay(as_user: As) -> None:
    async with as_user("registry") as registry, as_user("router") as router:
        with pytest.raises(Transient, match="not published yet"):
            await router.document_in_force("reviewers")
        for version in ("1", "2"):
            await registry.publish(published(version))
        assert (await router.document_in_force("reviewers")).version == "2"
        assert (await router.document("reviewers", published("1").digest)).version == "1"
        with pytest.raises(Transient, match="not published yet"):
            await router.document("reviewers", published("3").digest)


OTHER_DIGEST = "sha256:" + "00" * 32


@pytest.mark.requirement("P4")
@pytest.mark.parametrize(
    ("event", "why"),
    [
        (published("1", STRANGER), "signed"),
        (published("1", digest=OTHER_DIGEST), "payload has digest"),
        (published("1", name="fleet-manifest"), "is a reviewers"),
        (published("1", payload_type="text/plain"), "not as a document"),
    ],
    ids=["stranger", "digest", "name", "type"],
)
async def test_a_document_that_does_not_verify_fails_closed(as_user: As, event: PolicyPublishedV1, why: str) -> None:
    async with as_user("registry") as registry, as_user("router") as router:
        await registry.publish(event)
        for _ in range(2):
            with pytest.raises(UntrustedDocument, match=why):
                await router.document_in_force(event.name)


async def test_an_envelope_made_before_is_published_as_it_is(as_user: As) -> None:
    cause = await submitted(as_user)
    async with as_user("router") as router:
        made = router._publisher.envelope(decision(), cause, event_id_of(cause.id, "task.decided.v1"))
        kept: Envelope[TaskDecidedV1] = Envelope[TaskDecidedV1].from_bytes(made.to_bytes())
        assert (await router.publish_envelope(kept)).stored == "new"
        assert (await router.publish_envelope(kept)).stored == "same"
