"""`python -m tierproof_verifier`, also installed as `tierproof-verifier`."""

from tierproof_bus.command_line import read_arguments

from tierproof_verifier.handlers import service
from tierproof_verifier.settings import VerifierSettings


def main() -> None:
    """Serve until told to stop."""
    read_arguments("tierproof_verifier", "Checks answers.", VerifierSettings)
    service(VerifierSettings()).run()


if __name__ == "__main__":
    main()
