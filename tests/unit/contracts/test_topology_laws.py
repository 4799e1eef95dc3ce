"""Who may say and hear what, as laws over the whole topology."""

import itertools
import re

import pytest
from tierproof_contracts import asyncapi, permissions, topology
from tierproof_contracts.catalogue import EVENTS
from tierproof_contracts.subjects import ROOT, asked_of_ledger, every
from tierproof_contracts.topology import User

EVERYBODY = (*topology.SERVICES, *topology.PEOPLE, topology.producer("acme"), topology.producer("globex"))
NOT_PROVISIONER = [user for user in EVERYBODY if not user.manages_streams]


def covers(outer: str, inner: str) -> bool:
    """Tell whether every subject of `inner` is one of `outer` (NATS wildcards: * one token, > one or more)."""
    wide, narrow = outer.split("."), inner.split(".")
    for index, token in enumerate(wide):
        if token == ">":
            return len(narrow) > index
        if index >= len(narrow) or (token != "*" and token != narrow[index]) or narrow[index] == ">":
            return False
    return len(wide) == len(narrow)


def meets(one: str, other: str) -> bool:
    """Tell whether some subject fits both patterns."""
    for left, right in itertools.zip_longest(one.split("."), other.split(".")):
        if left is None or right is None:
            return False
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return True


def sample(event_type: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", asyncapi.channel_address(event_type))


def publishers(pattern: str) -> set[str]:
    return {user.name for user in EVERYBODY if any(meets(p, pattern) for p in permissions.allowed_to_publish(user))}


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("event_type", EVENTS)
def test_each_event_is_stored_by_exactly_one_stream(event_type: str) -> None:
    holders = [s.name for s in topology.STREAMS if any(covers(p, sample(event_type)) for p in s.subjects)]
    assert holders == [topology.stream_of(sample(event_type))]


def test_no_two_streams_overlap() -> None:
    owned = [(stream.name, subject) for stream in topology.STREAMS for subject in stream.subjects]
    assert [pair for pair in itertools.combinations(owned, 2) if meets(pair[0][1], pair[1][1])] == []


@pytest.mark.parametrize("consumer", topology.CONSUMERS, ids=lambda c: c.durable)
def test_a_consumer_filters_within_its_stream(consumer: topology.Consumer) -> None:
    stream = next(stream for stream in topology.STREAMS if stream.name == consumer.stream)
    assert consumer.filters
    assert all(any(covers(subject, wanted) for subject in stream.subjects) for wanted in consumer.filters)
    assert re.fullmatch(r"[a-z0-9-]{1,39}", consumer.durable)
    assert consumer.service in {user.name for user in topology.SERVICES}


def test_durables_are_named_once() -> None:
    durables = [consumer.durable for consumer in topology.CONSUMERS]
    assert len(durables) == len(set(durables))


@pytest.mark.requirement("LED-proof", "P4")
@pytest.mark.parametrize(
    ("event_type", "only"),
    [
        ("result.released.v1", {"evidence-ledger"}),
        ("evidence.checkpointed.v1", {"evidence-ledger"}),
        ("task.accepted.v1", {"router"}),
        ("task.decided.v1", {"router"}),
        ("inference.requested.v1", {"router"}),
        ("verification.requested.v1", {"router"}),
        ("review.requested.v1", {"router"}),
        ("timer.set.v1", {"router"}),
        ("task.expired.v1", set()),
        ("review.expired.v1", set()),
        ("review.decided.v1", {"reviewer"}),
        ("verification.settled.v1", {"verifier"}),
        ("policy.published.v1", {"registry"}),
        ("model.revoked.v1", {"registry"}),
        ("task.submitted.v1", {"app-acme", "app-globex"}),
    ],
)
def test_only_these_may_publish(event_type: str, only: set[str]) -> None:
    assert publishers(every(event_type)) == only


@pytest.mark.parametrize("tier", topology.TIERS)
def test_a_worker_settles_its_own_tier_only(tier: str) -> None:
    assert publishers(every("inference.settled.v1", tier)) == {f"inference-worker-{tier}"}


def test_only_the_router_writes_where_timers_are_set() -> None:
    timer = next(stream for stream in topology.STREAMS if stream.name == "TIMER")
    assert [stream.name for stream in topology.STREAMS if stream.schedules] == ["TIMER"]
    assert {name for subject in timer.subjects for name in publishers(subject)} == {"router"}


def test_a_tenant_reaches_nothing_of_another() -> None:
    acme = topology.producer("acme")
    own = (every("task.submitted.v1", "acme"), every("result.released.v1", "acme"))
    # A proof is asked for by an outcome's own index, and holds commitments only.
    shared = {asked_of_ledger("proof", "app-acme")}
    for pattern in {*permissions.allowed_to_publish(acme), *permissions.allowed_to_subscribe(acme)} - shared:
        assert pattern.endswith(own) or ".app-acme--" in pattern or pattern == "_INBOX_app-acme.>", pattern


@pytest.mark.parametrize("user", NOT_PROVISIONER, ids=lambda user: user.name)
@pytest.mark.parametrize("call", ["CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "RESTORE", "SNAPSHOT"])
def test_only_the_provisioner_changes_streams(user: User, call: str) -> None:
    assert not any(meets(p, f"$JS.API.STREAM.{call}.>") for p in permissions.allowed_to_publish(user))


@pytest.mark.parametrize("user", NOT_PROVISIONER, ids=lambda user: user.name)
def test_a_consumer_is_made_only_by_a_producer_for_its_own_results(user: User) -> None:
    made = ("CREATE.>", "DURABLE.CREATE.>", "DELETE.>", "PAUSE.>", "RESET.>")
    wishes = [f"$JS.API.CONSUMER.{call}" for call in made]
    reached = [p for p in permissions.allowed_to_publish(user) if any(meets(p, wish) for wish in wishes)]
    allowed = [
        f"$JS.API.CONSUMER.CREATE.RESULT.{user.name}--{name}.{heard}"
        for name in user.durables
        for heard in user.subscribes
    ]
    assert reached == allowed
    assert bool(reached) is user.name.startswith("app-")


@pytest.mark.parametrize("user", EVERYBODY, ids=lambda user: user.name)
def test_a_wildcard_is_a_whole_token(user: User) -> None:
    for pattern in (*permissions.allowed_to_publish(user), *permissions.allowed_to_subscribe(user)):
        tokens = pattern.split(".")
        assert all(token and (token in {"*", ">"} or not set(token) & set("*> ")) for token in tokens), pattern


def test_nobody_listens_to_anothers_inbox() -> None:
    for one, other in itertools.permutations(EVERYBODY, 2):
        inbox = f"{topology.inbox_of(other.name)}.>"
        assert not any(meets(p, inbox) for p in permissions.allowed_to_subscribe(one))


def test_each_durable_may_be_read_by_its_service_alone() -> None:
    for consumer in topology.CONSUMERS:
        wish = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.durable}"
        assert publishers(wish) - {"provisioner"} == {consumer.service}


@pytest.mark.parametrize("event_type", EVENTS)
def test_a_subject_says_the_event_type(event_type: str) -> None:
    assert asyncapi.channel_address(event_type).startswith(f"{ROOT}.{event_type}.")
