"""Run the command: a user's mistake ends in one sentence and an exit code, never in a traceback."""

import sys

from rich.console import Console
from tierproof_contracts.errors import ContractError
from tierproof_proofs.errors import ProofError

from tierproof.cli.app import build
from tierproof.errors import ClientError


def main() -> None:
    """Run `tierproof`; exit 0 ok, 1 refused or failed check, 2 wrong usage; `task` has its own codes beside these."""
    try:
        build()()
    except (ClientError, ContractError, ProofError) as error:
        Console(stderr=True, highlight=False).print(f"[red]tierproof:[/red] {error.diagnosis()}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
