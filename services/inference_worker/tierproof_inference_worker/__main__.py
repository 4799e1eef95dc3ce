"""`python -m tierproof_inference_worker`, also installed as `tierproof-inference-worker`."""

from tierproof_bus.command_line import read_arguments

from tierproof_inference_worker.handlers import service
from tierproof_inference_worker.settings import InferenceWorkerSettings


def main() -> None:
    """Serve until told to stop."""
    read_arguments("tierproof_inference_worker", "Asks the models of one tier.", InferenceWorkerSettings)
    service(InferenceWorkerSettings()).run()


if __name__ == "__main__":
    main()
