"""`python -m tierproof_router`, also installed as `tierproof-router`."""

from tierproof_bus.command_line import read_arguments

from tierproof_router.handlers import service
from tierproof_router.settings import RouterSettings


def main() -> None:
    """Serve until told to stop."""
    read_arguments("tierproof_router", "Decides what becomes of each task.", RouterSettings)
    service(RouterSettings()).run()


if __name__ == "__main__":
    main()
