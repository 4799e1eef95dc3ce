"""Where the broker is and who we are: flags, then the environment, then the embedded stack's state folder."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tierproof.errors import ClientError

UrlFlag = Annotated[str | None, typer.Option("--url", help="NATS URL (TIERPROOF_NATS_URL)", show_default=False)]
CredentialsFlag = Annotated[
    Path | None, typer.Option("--credentials", help="NKey seed file (TIERPROOF_CREDENTIALS)", show_default=False)
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A broker and the seed file of the user who speaks."""

    url: str
    credentials: Path | None


def home() -> Path:
    """Return the state folder of the embedded stack."""
    return Path(os.environ.get("TIERPROOF_HOME", ".tierproof")).absolute()


def place(user: str, url: str | None = None, credentials: Path | None = None) -> Place:
    """Return where to connect as which user; raises ClientError with the mend when nothing says so."""
    seed = credentials or _from_environment("TIERPROOF_CREDENTIALS")
    at = url or os.environ.get("TIERPROOF_NATS_URL") or _embedded_url()
    if seed is None and url is None:
        embedded = home() / "keys" / "nats" / f"{user}.nk"
        seed = embedded if embedded.exists() else None
    return Place(url=at, credentials=seed)


def _from_environment(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def _embedded_url() -> str:
    state = home() / "state.json"
    try:
        port = json.loads(state.read_text())["ports"]["nats"]
    except (OSError, ValueError, KeyError):
        raise ClientError(f"no stack in {home()}: start it with `tierproof up`, or name a broker with --url") from None
    return f"nats://127.0.0.1:{port}"


def trust_file() -> Path:
    """Return the trust file of the embedded stack, or the one that TIERPROOF_TRUST names."""
    return _from_environment("TIERPROOF_TRUST") or home() / "trust.json"
