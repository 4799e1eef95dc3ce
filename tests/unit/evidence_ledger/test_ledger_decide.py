"""What the ledger releases, and each way to try to make it release something else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts.documents import Reviewer, Reviewers
from tierproof_contracts.envelope import Citation
from tierproof_contracts.task import TaskDecidedV1
from tierproof_contracts.verification import NotPassed, Passed
from tierproof_evidence_ledger.canonical import Said, read
from tierproof_evidence_ledger.decide import (
    AlreadyReleased,
    Evidence,
    Recorded,
    Release,
    ReleaseAsFailure,
    Ruling,
    Wait,
    decide,
)
from tierproof_evidence_ledger.store import recorded_in
from tierproof_evidence_ledger.testing import (
    REVIEWER,
    REVIEWERS,
    Story,
    abstained_task,
    answered_task,
    digest,
    sign_review,
    text,
)
from tierproof_evidence_ledger.testing_streams import Streams
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.keys import Ed25519Signer

EVE = Ed25519Signer.from_seed(b"eve's own seed, 32 bytes in all!")


def evidence(story: Story, **changes: Any) -> Evidence:
    """Return a story as the ledger has it, after sealing."""
    events: dict[str, Recorded] = {}
    for message in Streams().deliver(story.events):
        said = read(message)
        assert isinstance(said, Said), said
        events[said.event_id] = recorded_in({"event": said.envelope})
    by_type = {event.event_type: event for event in events.values()}
    known = Evidence(
        events=events,
        submission=by_type.get("task.submitted.v1"),
        acceptance=by_type.get("task.accepted.v1"),
        reviewers={REVIEWERS.digest(): REVIEWERS},
        revoked=frozenset(),
    )
    return replace(known, **changes)


def rule(story: Story, **changes: Any) -> Ruling:
    decision: TaskDecidedV1 = story["task.decided.v1"].data
    return decide(decision, evidence(story, **changes))


def reason(ruling: Ruling) -> str:
    assert isinstance(ruling, ReleaseAsFailure), ruling
    return ruling.reason


def re_reviewed(story: Story, key: Ed25519Signer | None = None, **changes: Any) -> Story:
    """Return the story with another review decision, signed anew when a key is given."""
    review = story["review.decided.v1"].data.model_copy(update=changes)
    signed = sign_review(review, key) if key else review
    return story.saying("review.decided.v1", **dict(signed))


@pytest.fixture
def class_c() -> Story:
    return answered_task(1, safety_class="C")


@pytest.mark.parametrize("story", [answered_task(1), answered_task(1, safety_class="B"), abstained_task(1)])
def test_an_outcome_with_all_its_evidence_is_released(story: Story) -> None:
    assert rule(story) == Release()


@pytest.mark.requirement("S9-classC")
def test_class_c_is_released_with_the_persons_word(class_c: Story) -> None:
    ruling = rule(class_c)
    assert isinstance(ruling, Release)
    assert ruling.review is not None
    assert ruling.review.event_type == "review.decided.v1"


def test_an_outcome_is_released_once() -> None:
    assert rule(answered_task(1), already_released=True) == AlreadyReleased()


@pytest.mark.parametrize(
    "missing", ["task.submitted.v1", "task.accepted.v1", "inference.settled.v1", "verification.settled.v1"]
)
def test_a_missing_citation_is_waited_for(missing: str) -> None:
    story = answered_task(1)
    assert rule(story.without(missing)) == Wait(missing=frozenset({story[missing].id}))


def test_the_request_behind_a_verdict_is_waited_for() -> None:
    story = answered_task(1)
    assert rule(story.without("verification.requested.v1")) == Wait(
        missing=frozenset({story["verification.requested.v1"].id})
    )


@pytest.mark.requirement("S9-classC")
def test_the_request_behind_a_review_and_the_pinned_document_are_waited_for(class_c: Story) -> None:
    assert rule(class_c, reviewers={}) == Wait(missing=frozenset({REVIEWERS.digest()}))
    story = class_c.deciding(
        cites=tuple(
            cite for cite in class_c["task.decided.v1"].data.cites if cite.event_id != class_c["review.requested.v1"].id
        )
    ).without("review.requested.v1")
    assert rule(story) == Wait(missing=frozenset({class_c["review.requested.v1"].id}))


@given(st.integers(0, 3))
def test_a_citation_of_other_words_is_refused(place: int) -> None:
    story = answered_task(1)
    cites = list(story["task.decided.v1"].data.cites)
    cites[place] = Citation(event_id=cites[place].event_id, digest=digest("other words"))
    assert "says something else" in reason(rule(story.deciding(cites=tuple(cites))))


def test_evidence_of_another_task_is_refused() -> None:
    story, other = answered_task(1), answered_task(2)
    cites = (*story["task.decided.v1"].data.cites, other["inference.settled.v1"].citation())
    both = Story(events=(*other.without("task.decided.v1").events, *story.events))
    known = evidence(story, events={**evidence(both).events})
    assert "another task" in reason(decide(story.deciding(cites=cites)["task.decided.v1"].data, known))


def _uncited(story: Story, event_type: str) -> Story:
    dropped = story[event_type].id
    cites = tuple(cite for cite in story["task.decided.v1"].data.cites if cite.event_id != dropped)
    return story.deciding(cites=cites)


def test_an_answer_without_a_cited_verification_is_refused() -> None:
    assert reason(rule(_uncited(answered_task(1), "verification.settled.v1"))) == "no cited verification passed"


def test_an_answer_without_a_cited_inference_is_refused() -> None:
    assert "of a cited inference" in reason(rule(_uncited(answered_task(1), "inference.settled.v1")))


def test_a_failed_verification_releases_nothing() -> None:
    failed = answered_task(1).saying("verification.settled.v1", verdict=NotPassed(findings=((),), nearest=0))
    assert reason(rule(failed)) == "no cited verification passed"


def test_another_answer_than_the_verified_one_is_refused() -> None:
    story = answered_task(1)
    outcome = story["task.decided.v1"].data.outcome.model_copy(update={"answer": text("unchecked").ref()})
    assert "passed this answer" in reason(rule(story.deciding(outcome=outcome)))


def test_the_verdict_on_another_candidate_is_refused() -> None:
    story = answered_task(1)
    checks = story["verification.settled.v1"].data.verdict.checks
    assert "passed this answer" in reason(
        rule(story.saying("verification.settled.v1", verdict=Passed(answer_index=1, checks=checks)))
    )


def test_a_verified_text_that_no_model_gave_is_refused() -> None:
    story = answered_task(1)
    candidate = story["verification.requested.v1"].data.candidates[0].model_copy(update={"text": text("smuggled")})
    story = story.saying("verification.requested.v1", candidates=(candidate,))
    outcome = story["task.decided.v1"].data.outcome.model_copy(update={"answer": text("smuggled").ref()})
    assert "passed this answer" in reason(rule(story.deciding(outcome=outcome)))


@pytest.mark.requirement("S3.3-revoke")
@pytest.mark.parametrize("part", ["weights", "tokenizer", "engine", "adapter"])
def test_an_answer_of_a_revoked_model_is_refused(part: str) -> None:
    ruling = rule(answered_task(1), revoked=frozenset({digest(part)}))
    assert isinstance(ruling, ReleaseAsFailure)
    assert (ruling.code, digest(part) in ruling.reason) == ("revoked", True)


def test_a_declined_task_needs_no_model_in_good_standing() -> None:
    assert rule(abstained_task(1), revoked=frozenset({digest("weights")})) == Release()


@pytest.mark.requirement("S9-classC")
@pytest.mark.requirement("P3")
@pytest.mark.parametrize("change", [{"safety_class": "A"}, {"kind": "router-classify"}, {"safety_class": None}])
def test_a_decision_cannot_change_what_the_task_is(class_c: Story, change: dict[str, Any]) -> None:
    assert "are not those of" in reason(rule(class_c.deciding(**change)))


@pytest.mark.requirement("S9-classC")
def test_an_acceptance_cannot_lower_the_class(class_c: Story) -> None:
    lowered = class_c.saying("task.accepted.v1", safety_class="A").deciding(safety_class="A")
    assert "task.submitted.v1" in reason(rule(lowered))


@pytest.mark.requirement("S9-classC")
def test_class_c_without_a_review_is_refused() -> None:
    story = answered_task(1, safety_class="C", confirmed=False)
    assert reason(rule(story)) == "no cited review confirms this answer"


ATTACKS: dict[str, tuple[Callable[[Story], Story], str]] = {
    "uncited": (lambda story: _uncited(story, "review.decided.v1"), "no cited review"),
    "a rejection": (
        lambda story: re_reviewed(story, REVIEWER, verdict="reject"),
        "something else",
    ),
    "of another answer": (
        lambda story: re_reviewed(story, REVIEWER, answer=text("x").ref().commitment),
        "something else",
    ),
    "a changed verdict": (lambda story: re_reviewed(story, meaning="review"), "does not hold"),
    "a changed reason": (lambda story: re_reviewed(story, reason="fine"), "does not hold"),
    "a changed time": (lambda story: re_reviewed(story, signed_at="2026-11-01T13:00:00Z"), "does not hold"),
    "another's key": (lambda story: re_reviewed(story, EVE), "does not hold"),
    "an unknown signer": (lambda story: re_reviewed(story, EVE, signer="eve"), "no reviewer"),
    "another's name": (lambda story: re_reviewed(story, EVE, printed_name="Eve"), "printed name"),
    "no signature": (lambda story: re_reviewed(story, signature=base64_of(bytes(64))), "does not hold"),
    "of another request": (
        lambda story: re_reviewed(
            story,
            REVIEWER,
            review_request=story["inference.settled.v1"].id,
        ),
        "another request",
    ),
}


@pytest.mark.requirement("S9-classC")
@pytest.mark.requirement("LED-sign")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_review_that_does_not_hold_releases_a_failure(class_c: Story, attack: str) -> None:
    change, why = ATTACKS[attack]
    ruling = rule(change(class_c))
    assert isinstance(ruling, ReleaseAsFailure)
    assert ruling.code == "bad-review"
    assert why in ruling.reason


@pytest.mark.requirement("LED-sign")
def test_a_reviewer_of_other_kinds_only_does_not_count(class_c: Story) -> None:
    ada = REVIEWERS.reviewers["ada"]
    narrow = Reviewers(version="1", reviewers={"ada": ada.model_copy(update={"kinds": ("test-generation",)})})
    assert "this kind" in reason(rule(class_c, reviewers={REVIEWERS.digest(): narrow}))


@pytest.mark.requirement("LED-sign")
def test_only_the_pinned_reviewers_count(class_c: Story) -> None:
    theirs = Reviewers(
        version="2", reviewers={"ada": Reviewer(printed_name="Ada L.", public_key=base64_of(EVE.public_key))}
    )
    ruling = rule(re_reviewed(class_c, EVE), reviewers={theirs.digest(): theirs})
    assert ruling == Wait(missing=frozenset({REVIEWERS.digest()}))


def test_a_review_is_checked_wherever_one_is_claimed() -> None:
    story = re_reviewed(answered_task(1, confirmed=True), EVE)
    assert "does not hold" in reason(rule(story))
