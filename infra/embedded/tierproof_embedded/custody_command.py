"""`tierproof ledger erase`, `hold`, `unhold`, `holds`, `rotate-key`: what operators do to a ledger. Each is recorded in it."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from tierproof.cli.output import answer

from tierproof_embedded.errors import NotRunning
from tierproof_embedded.settings import EmbeddedSettings

Home = Annotated[Path | None, typer.Option("--home", help="State folder; TIERPROOF_HOME or .tierproof by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose texts.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in 1 to 500 characters: the log keeps it.")]
Name = Annotated[str | None, typer.Option("--as", help="Who does it: the log keeps it beside the database's role.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def _settings(home: Path | None) -> EmbeddedSettings:
    settings = EmbeddedSettings()
    return settings.model_copy(update={"home": home or settings.home})


def _dsn(home: Path | None, role: str) -> str:
    """Return the URL of the stack's database for a role; raises NotRunning where no stack was ever started."""
    from tierproof_embedded.ledger import DSN_FILES  # noqa: PLC0415

    layout = _settings(home).layout
    try:
        return (layout.keys / DSN_FILES[role]).read_text().strip()
    except FileNotFoundError:
        raise NotRunning(home=layout.home) from None


def erase(
    tenant: Tenant, reason: Reason, home: Home = None, *, name: Name = None, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Destroy the keys of a tenant's texts, for ever. Entries and proofs stay; a legal hold prevents it."""
    from tierproof_evidence_ledger import custody, custody_commands  # noqa: PLC0415
    from tierproof_evidence_ledger.scrubbing import scrub  # noqa: PLC0415

    dsn, owner = _dsn(home, "eraser"), _dsn(home, "owner")
    if not yes:
        typer.confirm(
            f"The texts of {tenant} can never be read again, not from a backup either. Erase?", abort=True, err=True
        )
    keys = custody.erase(dsn, tenant, reason, name)
    done = scrub(owner)
    lines = [custody_commands.said_of_erasure(tenant, keys), custody_commands.said_of_scrubbing(done)]
    answer({"tenant": tenant, "keys": keys}, lines, as_json=as_json)


def hold(tenant: Tenant, reason: Reason, home: Home = None, *, name: Name = None, as_json: AsJson = False) -> None:
    """Hold a tenant's texts: none of them is erased before the hold is lifted."""
    from tierproof_evidence_ledger import custody  # noqa: PLC0415

    made = custody.place_hold(_dsn(home, "holder"), tenant, reason, name)
    lift = f"`tierproof ledger unhold {made} --reason ...` lifts it"
    answer({"tenant": tenant, "hold": str(made)}, [f"the texts of {tenant} are held: {lift}"], as_json=as_json)


def unhold(
    hold_id: Annotated[UUID, typer.Argument(metavar="ID", help="The hold, as `tierproof ledger holds` lists it.")],
    reason: Reason,
    home: Home = None,
    *,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Lift a hold."""
    from tierproof_evidence_ledger import custody  # noqa: PLC0415

    custody.lift_hold(_dsn(home, "holder"), hold_id, reason, name)
    answer({"hold": str(hold_id)}, [f"hold {hold_id} is lifted"], as_json=as_json)


def holds(home: Home = None, *, as_json: AsJson = False) -> None:
    """List every hold: who placed it and why, and who lifted it."""
    from tierproof_evidence_ledger import custody, custody_commands  # noqa: PLC0415

    found = custody.holds(_dsn(home, "holder"))
    value = {"holds": [each.to_json() for each in found]}
    answer(value, custody_commands.said_of_holds(found), as_json=as_json)


def rotate_key(home: Home = None, *, as_json: AsJson = False) -> None:
    """Make the key to which the log goes over at the next start."""
    from tierproof_embedded import log_keys  # noqa: PLC0415

    settings = _settings(home)
    made = log_keys.make_next(settings.layout, settings.log_name)
    key = log_keys.verifier_keys(settings.layout, settings.log_name)[-1]
    before = log_keys.signing(settings.layout)[0]
    lines = (
        f"made {made}: {key}",
        "At the next start of the whole stack the log goes over to it: an entry of the log says so, both keys sign for a while",
        "(TIERPROOF_EVIDENCE_LEDGER_LOG_KEY_OVERLAP entries), then the new one alone.",
        f"{settings.layout.trust} then says for which sizes each key signs: give it to your readers. What was released before",
        "stays verifiable, with the old trust file as well.",
        f"When the log is larger than the old key's `until` there, and not before, remove {before}: nothing needs it any more.",
    )
    value = {"file": str(made), "key": str(key), "retiring": str(before)}
    answer(value, lines, as_json=as_json)
