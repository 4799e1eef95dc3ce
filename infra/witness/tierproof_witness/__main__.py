"""`python -m tierproof_witness [serve | keys]`: witness transparency logs over HTTP, or print the witness's verifier keys."""

import argparse
import asyncio
import logging
import sys

import structlog
from pydantic import ValidationError
from tierproof_proofs.errors import ProofError

from tierproof_witness.errors import WitnessError
from tierproof_witness.identity import Files, establish
from tierproof_witness.server import until_signalled
from tierproof_witness.settings import PREFIX, WitnessSettings, described


def main(arguments: list[str] | None = None) -> int:
    """Run the witness; 0 stopped in order, 78 cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m tierproof_witness",
        description=__doc__,
        epilog=f"settings, from the environment:\n{described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["serve", "keys"], help="serve until SIGTERM or SIGINT; or print the keys")
    command = parser.parse_args(arguments).command
    try:
        settings = WitnessSettings()
        _log_from(settings.log_level)
        return asyncio.run(until_signalled(settings)) if command == "serve" else _keys(settings)
    except (WitnessError, ProofError) as error:
        sys.stderr.write(f"{error.diagnosis()}\n")
    except ValidationError as error:
        for each in error.errors():
            sys.stderr.write(f"{PREFIX}{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}\n")
    return 78  # EX_CONFIG of sysexits(3)


def _keys(settings: WitnessSettings) -> int:
    """Print the verifier keys, one a line: what a trust file lists under `witnesses`."""
    for cosigner in establish(settings.name, Files.of(settings), busy_seconds=settings.busy_seconds):
        sys.stdout.write(f"{cosigner.verifier_key}\n")
    return 0


def _log_from(level: str) -> None:
    """Log JSON lines to standard output."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
    )


if __name__ == "__main__":
    sys.exit(main())
