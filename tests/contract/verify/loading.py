"""The verifier as strangers have it: one file, loaded from its place and not as an installed package."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "contracts/verify/tierproof_verify.py"


def load() -> Any:
    """Return a fresh copy of the verifier's module."""
    spec = importlib.util.spec_from_file_location("tierproof_verify", FILE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for names
    spec.loader.exec_module(module)
    if os.environ.get("TIERPROOF_VERIFY_ALONE"):
        module.Ed25519PublicKey = module.MLDSA44PublicKey = None  # as where `cryptography` is not installed
    return module
