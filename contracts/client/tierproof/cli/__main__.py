"""Run the command: a user's mistake ends in one sentence and an exit code, never in a traceback."""

import sys

from tierproof.cli.app import build
from tierproof.cli.output import as_json, aside, visible

REFUSED = 1
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run `tierproof`; exit 0 ok, 1 refused or failed check, 2 wrong usage; `task` has its own codes beside these.

    A refusal is an error that has a `diagnosis()`, as those of every package have, or one of the operating system's: it is told here, for
    all commands. Anything else is a defect and shows where it came from.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        build()(args=given, prog_name="tierproof")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        refused = refusal_of(error)
        if refused is None:
            raise
        if "--json" in given:
            as_json(refused)
        else:
            aside.print(f"tierproof: {visible(str(refused['diagnosis']))}", style="red")
        sys.exit(REFUSED)


def refusal_of(error: Exception) -> dict[str, object] | None:
    """Return what to tell of a refusal, with its code where it has one; None for a defect."""
    if isinstance(error, OSError):
        diagnosis = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    elif callable(told := getattr(error, "diagnosis", None)):
        diagnosis = told()
    else:
        return None
    code = getattr(error, "code", None)
    return {"ok": False, "error": type(error).__name__, **({"code": code} if code else {}), "diagnosis": diagnosis}


if __name__ == "__main__":
    main()
