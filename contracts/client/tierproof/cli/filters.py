"""Flags that several of an auditor's commands share."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tierproof.cli.asking import ModelT, checked

TypeFlag = Annotated[str | None, typer.Option("--type", help="e.g. task.decided.v1")]
KindFlag = Annotated[str | None, typer.Option("--kind", help="event, conflict, rejected, advisory, release or act")]
ActorFlag = Annotated[str | None, typer.Option("--actor", help="Who said or did it: a person, program or service.")]
TaskFlag = Annotated[str | None, typer.Option("--task")]
ModelFlag = Annotated[str | None, typer.Option("--model", help="sha256:... of weights, adapter or document.")]
TenantFlag = Annotated[str | None, typer.Option("--tenant")]
ClassFlag = Annotated[str | None, typer.Option("--class", help="A, B or C")]
SinceFlag = Annotated[str | None, typer.Option("--since", help="Recorded at or after: RFC 3339, UTC")]
UntilFlag = Annotated[str | None, typer.Option("--until", help="Recorded before: RFC 3339, UTC")]
AsOfFlag = Annotated[
    str | None, typer.Option("--as-of", help="The ledger as it was: an instant (RFC 3339, UTC) or a number of entries.")
]
ReasonFlag = Annotated[str | None, typer.Option("--reason", help="Why you ask; recorded with the question.")]


def asked_with(form: type[ModelT], flags: Mapping[str, Any]) -> ModelT:
    """Return the question that a command's flags ask: those that are named as its members."""
    return checked(form, **{name: value for name, value in flags.items() if name in form.model_fields})
