"""`python -m tierproof_tsa serve`: a local RFC 3161 time-stamp authority over HTTP."""

import argparse
import asyncio
import logging
import sys

import structlog
from pydantic import ValidationError

from tierproof_tsa.errors import TsaError
from tierproof_tsa.server import until_signalled
from tierproof_tsa.settings import TsaSettings, described


def main(arguments: list[str] | None = None) -> int:
    """Run the authority; 0 stopped in order, 78 cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m tierproof_tsa",
        description=__doc__,
        epilog=f"settings, from the environment:\n{described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["serve"], help="serve until SIGTERM or SIGINT")
    parser.parse_args(arguments)
    try:
        settings = TsaSettings()
        _log_from(settings.log_level)
        return asyncio.run(until_signalled(settings))
    except TsaError as error:
        sys.stderr.write(f"{error.diagnosis()}\n")
    except ValidationError as error:
        for each in error.errors():
            sys.stderr.write(f"TIERPROOF_TSA_{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}\n")
    return 78  # EX_CONFIG of sysexits(3)


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
