"""`python -m tierproof_router`, also installed as `tierproof-router`."""

from tierproof_router.handlers import service
from tierproof_router.settings import RouterSettings


def main() -> None:
    """Serve until told to stop."""
    service(RouterSettings()).run()


if __name__ == "__main__":
    main()
