"""`tierproof review`: the queue of answers that wait for a person, and the signed decision."""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from tierproof_contracts import subjects
from tierproof_contracts.catalogue import read_event, schema_name
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.questions import OpenReview, Reviews, ReviewsAsked
from tierproof_contracts.review import ReviewDecidedV1, ReviewRequestedV1, review_statement
from tierproof_proofs.encoding import base64_of
from tierproof_proofs.keys import Signer, load_key

from tierproof.cli import tasks
from tierproof.cli.output import as_json, console, run, table
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, home, place
from tierproof.connection import connected
from tierproof.errors import AlreadySubmitted, ClientError

app = typer.Typer(help="Answers that wait for a person.", no_args_is_help=True)
_DECISIONS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:review-decision")


@app.command("list")
def list_reviews(url: UrlFlag = None, credentials: CredentialsFlag = None, as_json_: JsonFlag = False) -> None:
    """The queue, oldest first."""
    reviews = tasks.asked(ReviewsAsked(), Reviews, url, credentials)
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
    meaning: Annotated[str, typer.Option("--meaning", help="review or approval")] = "approval",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Confirm or reject one answer, with your signature."""
    if meaning not in {"review", "approval"}:
        raise typer.BadParameter("--meaning is review or approval")
    found = tasks.asked(ReviewsAsked(task_id=task_id), Reviews, url, None)
    if not found.reviews:
        raise ClientError(f"{task_id}: nothing waits for a person; see `tierproof review list`")
    waiting: OpenReview = found.reviews[0]
    if not as_json_:
        _show(waiting, run(_request(waiting, url, credentials)))
    if not yes:
        typer.confirm(f"{'Confirm' if confirm else 'Reject'} this answer with your signature?", abort=True)
    decision = signed_decision(
        waiting,
        load_key(key or home() / "keys" / "demo-reviewer.pem"),
        verdict="confirm" if confirm else "reject",
        meaning="review" if meaning == "review" else "approval",
        reason=reason,
        signer=signer,
        printed_name=printed_name,
        at=datetime.now(UTC),
    )
    run(publish_decision(decision, waiting, url, credentials))
    verdict = "confirmed" if confirm else "rejected"
    as_json({"task_id": task_id, "verdict": decision.verdict}) if as_json_ else console.print(f"{task_id}: {verdict}")


async def _request(waiting: OpenReview, url: str | None, credentials: Path | None) -> ReviewRequestedV1:
    """Read the texts where they lie: in the review request, which reviewers may read."""
    where = place("reviewer", url, credentials)
    async with connected(where.url, credentials=where.credentials) as connection:
        stored = await connection.last(subjects.review_requested(waiting.tenant, waiting.task_id))
    data = read_event(stored).data if stored else None
    if not isinstance(data, ReviewRequestedV1):
        raise ClientError(f"{waiting.task_id}: the review request is no longer stored")
    return data


def _show(waiting: OpenReview, request: ReviewRequestedV1) -> None:
    console.print(f"[bold]{waiting.kind}, class {waiting.safety_class}, tier {waiting.tier}:[/bold] {waiting.because}")
    console.print(f"Request:\n{request.prompt.text}", markup=False)
    console.print(f"Answer:\n{request.answer.text}", markup=False)
    console.print(f"Checks that passed: {', '.join(waiting.checks) or 'none'}", markup=False)


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
        "signed_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    return ReviewDecidedV1.model_validate({**fields, "signature": base64_of(key.sign(review_statement(fields)))})


async def publish_decision(
    decision: ReviewDecidedV1, waiting: OpenReview, url: str | None = None, credentials: Path | None = None
) -> None:
    """Publish a signed decision through the review door; raises AlreadySubmitted when another one came first."""
    where = place("reviewer", url, credentials)
    async with connected(where.url, credentials=where.credentials) as connection:
        envelope = Envelope[ReviewDecidedV1](
            id=str(uuid.uuid5(_DECISIONS, decision.signature)),
            type=decision.event_type,
            source=connection.user,
            subject=decision.task_id,
            time=decision.signed_at,
            dataschema=schema_name(decision.event_type),
            correlationid=decision.task_id,
            causationid=waiting.review_request,
            data=decision,
        )
        if not await connection.publish_once(envelope):
            raise AlreadySubmitted(decision.task_id, "review decision")
