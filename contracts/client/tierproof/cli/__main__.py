"""Run the command: a user's mistake ends in one sentence and an exit code, never in a traceback."""

import sys

from tierproof_contracts.errors import ContractError
from tierproof_proofs.errors import ProofError

from tierproof.cli.app import build
from tierproof.cli.output import as_json, aside, visible
from tierproof.errors import ClientError

REFUSED = 1
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run `tierproof`; exit 0 ok, 1 refused or failed check, 2 wrong usage; `task` has its own codes beside these."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        build()(args=given, prog_name="tierproof")
    except (ClientError, ContractError, ProofError) as error:
        if "--json" in given:
            as_json({"ok": False, "error": type(error).__name__, "diagnosis": error.diagnosis()})
        else:
            aside.print(f"tierproof: {visible(error.diagnosis())}", style="red")
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
