"""`tierproof review`: the queue of answers that wait for a person, and the signed decision."""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import schema_name
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.ids import tenant_of, written
from tierproof_contracts.questions import OpenReview, Reviews, ReviewsAsked
from tierproof_contracts.review import ReviewDecidedV1, ReviewRequestedV1, review_statement
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.keys import Signer, load_key

from tierproof.cli.asking import asked, checked_task_id
from tierproof.cli.output import as_json, run, say, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, Place, UrlFlag, home, place
from tierproof.connection import connected
from tierproof.errors import ClientError

app = typer.Typer(help="Answers that wait for a person.", no_args_is_help=True)
_DECISIONS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:review-decision")


class AlreadyDecided(ClientError):
    """Somebody's word on this answer is on record."""


@app.command("list")
def list_reviews(url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False) -> None:
    """The queue, oldest first."""
    reviews = asked(ReviewsAsked(), Reviews, url, credentials)
    if as_json_:
        as_json(reviews)
        return
    rows = [(r.task_id, r.kind, r.safety_class, r.because, r.deadline) for r in reviews.reviews]
    table(("task", "kind", "class", "because", "until"), rows, empty="nothing waits for a person")


@app.command()
def decide(
    task_id: Annotated[str, typer.Argument(metavar="TASK")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it becomes part of the record.")],
    confirm: Annotated[bool, typer.Option("--confirm/--reject", help="Your decision.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="Your signing key.", show_default="the stack's demo key")
    ] = None,
    signer: Annotated[str, typer.Option("--as", help="Your name in the reviewers document.")] = "demo-reviewer",
    printed_name: Annotated[
        str, typer.Option("--printed-name", help="Your name as it is to be printed.")
    ] = "Demo Reviewer",
    meaning: Annotated[
        Literal["review", "approval"], typer.Option("--meaning", help="What your signature means (21 CFR 11.50).")
    ] = "approval",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Show one waiting answer with its request and checks, and confirm or reject it with your signature."""
    checked_task_id(task_id)
    if as_json_ and not yes:
        raise typer.BadParameter("--json asks nothing: decide with --yes")
    where = place("reviewer", url, credentials)
    envelope = run(_waiting(task_id, where))
    if not as_json_:
        _show(envelope.data)
    if not yes:
        typer.confirm(f"{'Confirm' if confirm else 'Reject'} it with your signature?", abort=True)
    decision = signed_decision(
        open_review(envelope),
        load_key(key or home() / "keys" / "demo-reviewer.pem"),
        verdict="confirm" if confirm else "reject",
        meaning=meaning,
        reason=reason,
        signer=signer,
        printed_name=printed_name,
        at=datetime.now(UTC),
    )
    run(publish_decision(decision, where))
    _done(decision, as_json_=as_json_)


def _done(decision: ReviewDecidedV1, *, as_json_: bool) -> None:
    if as_json_:
        as_json({"task_id": decision.task_id, "verdict": decision.verdict})
    else:
        say(f"{decision.task_id}: {decision.verdict}ed by {decision.printed_name}, meaning {decision.meaning}")


async def _waiting(task_id: str, where: Place) -> Envelope[ReviewRequestedV1]:
    """Read the review request: reviewers may read REVIEW, where the texts lie. Raises ClientError when nothing waits."""
    tenant = tenant_of(task_id)
    async with connected(where.url, credentials=where.credentials) as connection:
        stored = await connection.last(subjects.review_requested(tenant, task_id))
        decided = await connection.last(subjects.review_decided(tenant, task_id))
    if stored is None:
        raise ClientError(f"{task_id}: nothing waits for a person; see `tierproof review list`")
    if decided is not None:
        raise AlreadyDecided(f"{task_id}: somebody has decided this review; see `tierproof task story {task_id}`")
    envelope = Envelope[ReviewRequestedV1].from_bytes(stored)
    if datetime.fromisoformat(envelope.data.deadline) <= datetime.now(UTC):
        raise ClientError(f"{task_id}: the review's deadline {envelope.data.deadline} has passed")
    return envelope


def open_review(envelope: Envelope[ReviewRequestedV1]) -> OpenReview:
    """Return what a review request asks a person."""
    said = envelope.data
    return OpenReview(
        task_id=said.task_id,
        tenant=said.tenant,
        kind=said.kind,
        safety_class=said.safety_class,
        because=said.because,
        tier=said.tier,
        deadline=said.deadline,
        review_request=envelope.id,
        answer_commitment=said.answer.ref().commitment,
        checks=tuple(report.check for report in said.checks if report.passed),
    )


def _show(request: ReviewRequestedV1) -> None:
    say(f"{request.kind}, class {request.safety_class}, tier {request.tier}: {request.because}", style="bold")
    say(f"Request:\n{request.prompt.text}")
    say(f"Answer:\n{request.answer.text}")
    for report in request.checks:
        say(f"Check {report.check}: {'passed' if report.passed else 'NOT passed'}")


def signed_decision(
    waiting: OpenReview,
    key: Signer,
    *,
    verdict: Literal["confirm", "reject"],
    meaning: Literal["review", "approval"],
    reason: str,
    signer: str,
    printed_name: str,
    at: datetime,
) -> ReviewDecidedV1:
    """Sign a decision about one waiting answer (21 CFR 11.50: printed name, time, meaning; 11.70: bound to this record)."""
    fields = {
        "task_id": waiting.task_id,
        "tenant": waiting.tenant,
        "review_request": waiting.review_request,
        "answer": waiting.answer_commitment,
        "verdict": verdict,
        "meaning": meaning,
        "reason": reason,
        "signer": signer,
        "printed_name": printed_name,
        "signed_at": written(at),
    }
    try:
        return ReviewDecidedV1.model_validate({**fields, "signature": base64_of(key.sign(review_statement(fields)))})
    except ValidationError as error:
        raise ClientError(f"this decision cannot be signed: {explain_validation(error)}") from None


async def publish_decision(decision: ReviewDecidedV1, where: Place) -> None:
    """Publish a signed decision through the review door; raises AlreadyDecided when another one came first."""
    async with connected(where.url, credentials=where.credentials) as connection:
        envelope = Envelope[ReviewDecidedV1](
            id=str(uuid.uuid5(_DECISIONS, decision.signature)),
            type=decision.event_type,
            source=connection.user,
            subject=decision.task_id,
            time=decision.signed_at,
            dataschema=schema_name(decision.event_type),
            correlationid=decision.task_id,
            causationid=decision.review_request,
            data=decision,
        )
        if not await connection.publish_once(envelope):
            raise AlreadyDecided(f"{decision.task_id}: another decision came first, and stands")
