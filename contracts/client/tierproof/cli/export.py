"""`tierproof ledger export`: the log, or a part of it, as a pack that strangers can check."""

import importlib.util
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from tierproof_contracts.audit import ExportEntriesAsked
from tierproof_proofs.trust import Trust

from tierproof.cli import filters
from tierproof.cli.asking import AUDITOR
from tierproof.cli.output import Headway, as_json, progress, run, say
from tierproof.cli.places import CredentialsFlag, JsonFlag, UrlFlag, place, trust_file
from tierproof.connection import connected
from tierproof.errors import ClientError
from tierproof.exporting import Wanted
from tierproof.exporting import export as write_pack

VERIFIER = "tierproof_verify"
PAGE_PATIENCE = 60.0


def export(
    to: Annotated[Path, typer.Option("--to", help="The pack: a new folder, or a file that ends in .zip.")],
    event_type: filters.TypeFlag = None,
    kind: filters.KindFlag = None,
    actor: filters.ActorFlag = None,
    task_id: filters.TaskFlag = None,
    model: filters.ModelFlag = None,
    tenant: filters.TenantFlag = None,
    safety_class: filters.ClassFlag = None,
    since: filters.SinceFlag = None,
    until: filters.UntilFlag = None,
    as_of: filters.AsOfFlag = None,
    proofs: Annotated[int, typer.Option("--proofs", min=0, help="Most proofs of a selection.")] = 10_000,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Trust file (TIERPROOF_TRUST).", show_default=False)
    ] = None,
    verified: Annotated[bool, typer.Option("--verify/--no-verify", help="Check the pack when it is written.")] = True,
    reason: filters.ReasonFlag = None,
    url: UrlFlag = None,
    credentials: CredentialsFlag = None,
    as_json_: JsonFlag = False,
) -> None:
    """Export the log as of its newest cosigned checkpoint, whole or selected, with all that a stranger needs to check it."""
    question = filters.asked_with(ExportEntriesAsked, locals())
    where, trusted = place(AUDITOR, url, credentials), trust or trust_file()
    keys, verifier = _trust_in(trusted), verifier_file().read_bytes()

    async def work() -> dict[str, Any]:
        async with connected(where.url, credentials=where.credentials, patience=PAGE_PATIENCE) as connection:
            wanted = Wanted(
                question=question,
                trust=keys,
                verifier=verifier,
                made_by=connection.user,
                made_at=_now(),
                proofs=proofs,
            )
            with Headway() as headway:
                return await write_pack(connection.ask, to.absolute(), wanted, headway.heard)

    manifest = run(work())
    checks = check(to, trusted) if verified else None
    if as_json_:
        summary = {name: value for name, value in manifest.items() if name != "files"}
        as_json({"to": str(to), **summary, **({} if checks is None else {"verified": checks})})
        return
    say(f"{to}: {manifest['entries']} of {manifest['size']} entries, root {manifest['root']}")
    say("not verified: run its tierproof_verify.py" if checks is None else "verified")


def check(target: Path, trust: Path) -> Any:  # noqa: ANN401 - the verifier's report
    """Run the stand-alone verifier on a pack, in a process of its own, and return its report; raises ClientError."""
    with progress("verifying the pack"):
        command = [sys.executable, str(verifier_file()), str(target), "--trust", str(trust), "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = (ran.stdout or ran.stderr).strip()
        raise ClientError(f"{target}: was written, but does NOT verify: {said[-500:]}")
    try:
        return json.loads(ran.stdout)
    except ValueError:
        raise ClientError(f"{target}: the verifier's report cannot be read") from None


def verifier_file() -> Path:
    """Return the stand-alone verifier, one file; raises ClientError when it is not installed."""
    found = importlib.util.find_spec(VERIFIER)
    if found is None or found.origin is None:
        raise ClientError("the verifier is not installed: pip install tierproof-verify")
    return Path(found.origin)


def _trust_in(path: Path) -> Trust:
    try:
        return Trust.from_json(path.read_bytes())
    except OSError as error:
        raise ClientError(f"trust file {path}: {error.strerror}; name it with --trust") from None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
