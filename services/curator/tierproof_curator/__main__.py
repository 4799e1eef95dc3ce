"""`python -m tierproof_curator`, also installed as `tierproof-curator`."""

from tierproof_bus.command_line import read_arguments

from tierproof_curator.handlers import service
from tierproof_curator.settings import CuratorServiceSettings


def main() -> None:
    """Serve until told to stop."""
    read_arguments("tierproof_curator", "Builds snapshots of training records.", CuratorServiceSettings)
    service(CuratorServiceSettings()).run()


if __name__ == "__main__":
    main()
