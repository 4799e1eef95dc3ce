"""`python -m tierproof_evidence_ledger [serve | migrate | verify | backup | restore | erase | scrub | hold | unhold | holds]`.

Run the ledger, prepare its database, verify it deeply, back it up, bring a restored database up to date, or erase and hold texts.
"""

import argparse
import asyncio
import gc
import json
import sys
from pathlib import Path

import psycopg
import structlog
import uvloop
from tierproof_bus import logs
from tierproof_bus.errors import BusError
from tierproof_proofs.errors import ProofError

from tierproof_evidence_ledger import custody_commands
from tierproof_evidence_ledger import migrate as migrations
from tierproof_evidence_ledger.backup import back_up
from tierproof_evidence_ledger.errors import LedgerError, NotConfigured
from tierproof_evidence_ledger.restore import restore
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.service import until_signalled
from tierproof_evidence_ledger.settings import LedgerSettings, trust_of
from tierproof_evidence_ledger.unsealing import open_texts
from tierproof_evidence_ledger.verify import Scope, verify


def main() -> int:
    """Run one command; the exit code is 0 when all is well."""
    if sys.argv[1:2] and sys.argv[1] in custody_commands.NAMES:
        return custody_commands.main(sys.argv[1:])
    return _main()


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tierproof_evidence_ledger", description=__doc__)
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=["serve", "migrate", "verify", "backup", "restore", *custody_commands.NAMES],
        help="the last five have a --help of their own",
    )
    parser.add_argument("--json", action="store_true", help="for verify, backup and restore: print the report as JSON")
    parser.add_argument("--to", type=Path, help="for backup: an empty folder")
    chosen = parser.parse_args()
    settings = LedgerSettings()
    logs.configure(settings.log_level, service="evidence-ledger")
    if chosen.command != "serve":  # standard output is for the report
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        match chosen.command:
            case "serve":
                return uvloop.run(until_signalled(settings))
            case "migrate":
                return _migrate(settings)
            case "backup":
                return _back_up(settings, chosen.to)
            case "restore":
                return _restore(settings, as_json=chosen.json)
            case _:
                return _verify(settings, as_json=chosen.json)
    except (LedgerError, ProofError, BusError) as error:
        sys.stderr.write(f"{error.diagnosis()}\n")
    except psycopg.Error as error:
        sys.stderr.write(f"the ledger's database: {str(error).splitlines()[0]}\n")
    return 1


def _migrate(settings: LedgerSettings) -> int:
    folder: Path = settings.migrations or migrations.delivered_migrations()
    for name in migrations.migrate(settings.owner_dsn, folder):
        sys.stdout.write(f"applied {name}\n")
    migrations.set_passwords(settings.owner_dsn, settings)
    return 0


def _verify(settings: LedgerSettings, *, as_json: bool) -> int:
    gc.disable()  # no circles are made on the way, and looking for them among millions of values takes half of the time
    report = verify(settings.auditor_dsn, trust_of(settings), None, Scope(migrations=settings.migrations))
    if vault := Vault.there(settings.text_key_file):
        open_texts(settings.writer_dsn, vault, report)
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
        return 1 if report.faults else 0
    for fault in report.faults:
        where = "" if fault.seq is None else f"entry {fault.seq}: "
        sys.stdout.write(f"{where}{fault.what}\n")
    size = f"{report.size} entries, {report.checkpoints} checkpoints, {report.published} of them witnessed"
    size += ", texts not opened: no TEXT_KEY_FILE" if report.opened is None else f", {report.opened} texts opened"
    sys.stdout.write(f"{size}, root {report.root.hex() or 'none'}\n")
    if report.first_bad is not None:
        sys.stdout.write(f"first bad entry: {report.first_bad}\n")
    return 1 if report.faults else 0


def _back_up(settings: LedgerSettings, to: Path | None) -> int:
    if to is None:
        raise NotConfigured("name a folder for the backup: --to DIR")
    made = back_up(settings.owner_dsn, to, settings.pg_binaries)
    sys.stdout.write(json.dumps(made.to_json()) + "\n")
    return 0


def _restore(settings: LedgerSettings, *, as_json: bool) -> int:
    report = asyncio.run(restore(settings, _tell))
    said = report.to_json()
    sys.stdout.write(json.dumps(said) + "\n" if as_json else "".join(f"{line}\n" for line in report.lines()))
    return 1 if report.faults or report.taken else 0


def _tell(step: str, seconds: float) -> None:
    sys.stderr.write(f"{seconds:8.2f} s  {step}\n")


if __name__ == "__main__":
    sys.exit(main())
