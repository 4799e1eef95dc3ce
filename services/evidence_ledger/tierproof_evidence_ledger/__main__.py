"""`python -m tierproof_evidence_ledger [serve | migrate | verify]`: run the ledger, prepare its database, or verify it deeply."""

import argparse
import sys
from pathlib import Path

import psycopg
import uvloop
from tierproof_bus import logs
from tierproof_proofs.errors import ProofError

from tierproof_evidence_ledger import migrate as migrations
from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.service import until_signalled
from tierproof_evidence_ledger.settings import LedgerSettings, trust_of
from tierproof_evidence_ledger.verify import verify


def main() -> int:
    """Run one command; the exit code is 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tierproof_evidence_ledger", description=__doc__)
    parser.add_argument("command", nargs="?", default="serve", choices=["serve", "migrate", "verify"])
    parser.add_argument("--json", action="store_true", help="for verify: print the report as JSON")
    chosen = parser.parse_args()
    settings = LedgerSettings()
    logs.configure(settings.log_level, service="evidence-ledger")
    try:
        match chosen.command:
            case "serve":
                return uvloop.run(until_signalled(settings))
            case "migrate":
                return _migrate(settings)
            case _:
                return _verify(settings, as_json=chosen.json)
    except (LedgerError, ProofError) as error:
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
    report = verify(settings.auditor_dsn, trust_of(settings))
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
        return 1 if report.faults else 0
    for fault in report.faults:
        where = "" if fault.seq is None else f"entry {fault.seq}: "
        sys.stdout.write(f"{where}{fault.what}\n")
    size = f"{report.size} entries, {report.checkpoints} checkpoints, {report.published} of them witnessed"
    sys.stdout.write(f"{size}, root {report.root.hex() or 'none'}\n")
    if report.first_bad is not None:
        sys.stdout.write(f"first bad entry: {report.first_bad}\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
