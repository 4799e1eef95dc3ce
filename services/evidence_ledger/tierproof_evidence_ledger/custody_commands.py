"""`python -m tierproof_evidence_ledger erase | scrub | hold | unhold | holds`: deeds on texts, where no embedded stack is.

The roles' DSNs come from TIERPROOF_PG_ERASER_DSN(_FILE), TIERPROOF_PG_HOLDER_DSN(_FILE) and, for `scrub`, TIERPROOF_PG_OWNER_DSN(_FILE).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tierproof_evidence_ledger import custody
from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.scrubbing import Scrubbed, scrub
from tierproof_evidence_ledger.settings import LedgerSettings

NAMES = ("erase", "scrub", "hold", "unhold", "holds")
RECORDED = "it becomes an entry of the log as soon as the sequencer sweeps"


def main(arguments: Sequence[str]) -> int:
    """Do one deed; the exit code is 0 when it was done, or was nothing to do."""
    chosen = _parser().parse_args(arguments)
    try:
        said, lines = _done(chosen, LedgerSettings())
    except LedgerError as error:
        sys.stderr.write(f"{error.diagnosis()}\n")
        return 1
    sys.stdout.write(json.dumps(said) + "\n" if chosen.json else "".join(f"{line}\n" for line in lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tierproof_evidence_ledger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in NAMES:
        command = commands.add_parser(name)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        if name in ("holds", "scrub"):
            continue
        if name == "unhold":
            command.add_argument("hold", type=UUID, help="the hold's id")
        else:
            command.add_argument("--tenant", required=True)
        command.add_argument("--reason", required=True, help="1 to 500 characters; the log keeps them")
        command.add_argument("--as", dest="name", help="who does it, or for whom; the act names it beside the role")
        if name == "erase":
            command.add_argument("--yes", action="store_true", required=True, help="it cannot be undone")
    return parser


def _done(chosen: argparse.Namespace, settings: LedgerSettings) -> tuple[Any, list[str]]:
    match chosen.command:
        case "erase":
            keys = custody.erase(settings.eraser_dsn, chosen.tenant, chosen.reason, chosen.name)
            return {"ok": True, "tenant": chosen.tenant, "keys": keys}, [said_of_erasure(chosen.tenant, keys)]
        case "scrub":
            done = scrub(settings.owner_dsn)
            return {"ok": True, "segments": done.segments}, [said_of_scrubbing(done)]
        case "hold":
            made = custody.place_hold(settings.holder_dsn, chosen.tenant, chosen.reason, chosen.name)
            return {"ok": True, "tenant": chosen.tenant, "hold": str(made)}, [
                f"hold {made} on {chosen.tenant}; {RECORDED}"
            ]
        case "unhold":
            custody.lift_hold(settings.holder_dsn, chosen.hold, chosen.reason, chosen.name)
            return {"ok": True, "hold": str(chosen.hold)}, [f"hold {chosen.hold} is lifted; {RECORDED}"]
        case _:
            found = custody.holds(settings.holder_dsn)
            return {"holds": [hold.to_json() for hold in found]}, said_of_holds(found)


def said_of_erasure(tenant: str, keys: int) -> str:
    """Return one sentence about an erasure."""
    if keys == 0:
        return f"no key of {tenant} was there: nothing was erased, and nothing is recorded"
    return f"erased for ever: {keys} key{'' if keys == 1 else 's'} of the texts of {tenant}; {RECORDED}"


def said_of_scrubbing(done: Scrubbed) -> str:
    """Return one sentence about a scrubbing."""
    return f"no erased key is in the server's files: {done.segments} segments of the write-ahead log were written over or removed"


def said_of_holds(holds: Sequence[custody.Hold]) -> list[str]:
    """Return a line per hold."""
    return [_line(hold) for hold in holds] or ["no hold was ever placed"]


def _line(hold: custody.Hold) -> str:
    who = _who(hold.placed_for, hold.placed_by)
    placed = f"{hold.hold_id}  {hold.tenant}  placed {hold.placed_at:%Y-%m-%d %H:%M} by {who}: {hold.reason}"
    if hold.lifted_at is None:
        return placed
    who = _who(hold.lifted_for, hold.lifted_by)
    return f"{placed}  (lifted {hold.lifted_at:%Y-%m-%d %H:%M} by {who}: {hold.lifted_because})"


def _who(name: str | None, role: str | None) -> str:
    return f"{role}" if name is None else f"{name} ({role})"
