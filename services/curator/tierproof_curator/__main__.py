"""`python -m tierproof_curator`, also installed as `tierproof-curator`."""

from tierproof_curator.handlers import service
from tierproof_curator.settings import CuratorServiceSettings


def main() -> None:
    """Serve until told to stop."""
    service(CuratorServiceSettings()).run()


if __name__ == "__main__":
    main()
