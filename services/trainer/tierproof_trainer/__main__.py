"""`python -m tierproof_trainer`, also installed as `tierproof-trainer`."""

from tierproof_bus.command_line import read_arguments

from tierproof_trainer.handlers import service
from tierproof_trainer.settings import TrainerServiceSettings


def main() -> None:
    """Serve until told to stop."""
    read_arguments("tierproof_trainer", "Trains what locks fix.", TrainerServiceSettings)
    service(TrainerServiceSettings()).run()


if __name__ == "__main__":
    main()
