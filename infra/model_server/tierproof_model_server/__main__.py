"""`python -m tierproof_model_server prepare|serve`."""

import argparse
import os
import sys
from pathlib import Path

from tierproof_model_server.errors import ModelServerError
from tierproof_model_server.launch import server_command
from tierproof_model_server.prepare import prepare_base
from tierproof_model_server.settings import ModelServerLayout, ServerSettings


def main(arguments: list[str] | None = None) -> int:
    """Prepare the base model, or become the server process."""
    parser = argparse.ArgumentParser(prog="python -m tierproof_model_server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="prepare the base model once, and verify it ever after")
    serve = commands.add_parser("serve", help="prepare, then become the server process")
    for command in (prepare, serve):
        command.add_argument(
            "--models", type=Path, default=Path(os.environ.get("TIERPROOF_HOME", ".tierproof")) / "models"
        )
    serve.add_argument("--engine", choices=("openvino", "noop"), default="openvino")
    serve.add_argument("--http-port", type=int, default=8000)
    serve.add_argument("--grpc-port", type=int, default=8001)
    serve.add_argument("--metrics-port", type=int, default=8002)
    given = parser.parse_args(arguments)
    try:
        if given.command == "prepare":
            print(prepare_base(given.models / "base", progress=_progress).weights_digest)  # noqa: T201 - the command's answer
            return 0
        return _serve(given)
    except ModelServerError as refused:
        _progress(refused.diagnosis())
        return 1


def _serve(given: argparse.Namespace) -> int:
    base = prepare_base(given.models / "base", progress=_progress).folder if given.engine == "openvino" else None
    layout = ModelServerLayout(
        home=given.models / "server", adapters=given.models / "adapters", base=base, engine=given.engine
    )
    settings = ServerSettings(http_port=given.http_port, grpc_port=given.grpc_port, metrics_port=given.metrics_port)
    command = server_command(layout, settings)
    os.chdir(command.cwd)
    os.execve(command.argv[0], command.argv, dict(command.env))  # noqa: S606 - no shell; this process becomes the server


def _progress(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - a person at a terminal


if __name__ == "__main__":
    sys.exit(main())
