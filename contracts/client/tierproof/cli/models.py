"""`tierproof model revoke`: an artifact that must not be served or released any more."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError
from tierproof_contracts.catalogue import schema_name
from tierproof_contracts.documents import ModelRevokedV1
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.ids import written

from tierproof.cli.output import as_json, run, say
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place
from tierproof.connection import connected
from tierproof.errors import BadTask

app = typer.Typer(help="Models of the fleet.", no_args_is_help=True)
_REVOCATIONS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tierproof:revocation")


@app.callback()
def _models() -> None:
    """Models of the fleet."""


@app.command()
def revoke(
    digest: Annotated[str, typer.Argument(help="sha256:... of the weights or the adapter")],
    reason: Annotated[str, typer.Option("--reason")],
    who: Annotated[str, typer.Option("--as", help="Who revokes it.")] = "operator",
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Revoke a model artifact: answers of it are not released from now on."""
    try:
        revoked = ModelRevokedV1(digest=digest, reason=reason, revoked_by=who)
    except ValidationError as error:
        raise BadTask(explain_validation(error)) from None
    where = place("registry", url, credentials)

    async def work() -> bool:
        async with connected(where.url, credentials=where.credentials) as connection:
            envelope = Envelope[ModelRevokedV1](
                id=str(uuid.uuid5(_REVOCATIONS, digest)),
                type=revoked.event_type,
                source=connection.user,
                subject=digest,
                time=written(datetime.now(UTC)),
                dataschema=schema_name(revoked.event_type),
                correlationid=digest,
                data=revoked,
            )
            return await connection.publish_once(envelope)

    new = run(work())
    as_json({"digest": digest, "new": new}) if as_json_ else say(
        f"{digest}: {'revoked' if new else 'was revoked before'}"
    )
