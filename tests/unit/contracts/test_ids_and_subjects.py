"""Ids that cannot collide, and subjects that NATS can carry."""

import inspect
import re
import types
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tierproof_contracts import asyncapi, ids, subjects
from tierproof_contracts.catalogue import EVENTS
from tierproof_contracts.envelope import Event
from tierproof_contracts.schemas import DOCUMENTS

TENANTS = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
WORDS = {
    "tenant": TENANTS,
    "task_id": st.from_regex(r"[a-z0-9-]{1,32}_[0-9a-f]{32}", fullmatch=True),
    "request_id": st.from_regex(UUID, fullmatch=True),
    "event_id": st.from_regex(UUID, fullmatch=True),
    "digest": st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    "kind": st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
    "tier": st.sampled_from("smlve"),
    "service": st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True),
    "stream": st.from_regex(r"[A-Z][A-Z0-9_-]{0,31}", fullmatch=True),
    "sequence": st.integers(1, 2**63),
    "size": st.integers(1, 2**53),
    "lock": st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    "attempt": st.integers(1, 99),
    "name": st.sampled_from(["routing-policy", "fleet-manifest", "reviewers"]),
}


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("event_type", EVENTS)
@given(data=st.data())
def test_every_subject_is_short_and_made_of_whole_tokens(event_type: str, data: st.DataObject) -> None:
    write = asyncapi.subject_function(event_type)
    subject = write(*(data.draw(WORDS[name]) for name in inspect.signature(write).parameters))
    tokens = subject.split(".")
    assert len(subject) < 256
    assert len(tokens) <= 8
    assert tokens[:4] == [subjects.ROOT, *event_type.split(".")]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", token) for token in tokens)
    assert len(tokens) == len(asyncapi.channel_address(event_type).split("."))


@given(TENANTS, TENANTS, st.text(st.characters(exclude_categories=["Cs"])))
def test_two_tenants_never_share_a_task_id(one: str, other: str, key: str) -> None:
    ours, theirs = ids.task_id_of(one, key), ids.task_id_of(other, key)
    assert (ours == theirs) is (one == other)
    assert ids.tenant_of(ours) == one


def test_a_key_cannot_be_made_to_reach_another_tenant() -> None:
    assert ids.task_id_of("a", "b/c") != ids.task_id_of("a/b", "c")
    assert ids.tenant_of("a-b_" + "0" * 32) == "a-b"


def test_request_ids_follow_from_the_attempt_alone() -> None:
    made = {ids.request_id_of(task, step, n) for task in "ab" for step in ("inference", "verification") for n in (1, 2)}
    assert len(made) == 8
    assert ids.request_id_of("a", "inference", 1) in made


def models_in(annotation: object) -> set[type[BaseModel]]:
    found = {annotation} if isinstance(annotation, type) and issubclass(annotation, BaseModel) else set()
    return found.union(*(models_in(part) for part in typing.get_args(annotation)))


def kinds_in(annotation: object) -> set[object]:
    return {annotation}.union(*(kinds_in(part) for part in typing.get_args(annotation) if not isinstance(part, str)))


@pytest.mark.parametrize("model", [*EVENTS.values(), *DOCUMENTS.values()], ids=lambda model: model.__name__)
def test_no_field_is_a_float_or_of_any_kind(model: type[BaseModel]) -> None:
    todo, seen = [model], set()
    while todo:
        current = todo.pop()
        seen.add(current)
        for name, field in current.model_fields.items():
            kinds = {kind for kind in kinds_in(field.annotation) if isinstance(kind, type | types.UnionType)}
            assert not kinds & {float, complex, bytes, object}, f"{current.__name__}.{name}"
            todo += models_in(field.annotation) - seen


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.event_type)
def test_class_and_type_have_one_name(event: type[Event]) -> None:
    noun, participle, version = event.event_type.split(".")
    assert event.__name__ == f"{noun.title()}{participle.title()}{version.upper()}"
