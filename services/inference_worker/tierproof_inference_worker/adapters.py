"""LoRA adapters on disk: by name in one folder, served only when their bytes have the pinned digest."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tierproof_contracts.inference import AdapterPin

from tierproof_inference_worker.errors import ServerTrouble
from tierproof_inference_worker.profiles import Lora

WEIGHTS = "adapter_model.safetensors"
LORA_ID_BITS = 63  # fits into every signed 64-bit integer between here and TensorRT-LLM


class UnknownAdapter(ServerTrouble):
    """An adapter that lies nowhere, or whose bytes are not those that were approved."""


def lora_id_of(digest: str) -> int:
    """Return the first 63 bits of an adapter's digest."""
    return int(digest.removeprefix("sha256:"), 16) >> (256 - LORA_ID_BITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFolder:
    """`<folder>/<name>/adapter_model.safetensors`; `on_server` is the same folder as the server sees it.

    Digests are kept by path, size and time of change, so that an adapter is hashed once and again when it is replaced.
    """

    folder: Path | None
    on_server: str | None = None
    _hashed: dict[tuple[Path, int, int], str] = field(default_factory=dict)

    def verified(self, pin: AdapterPin) -> Lora:
        """Return how the server is told of an adapter; raises UnknownAdapter. The name's pattern has no path separator."""
        if self.folder is None:
            raise UnknownAdapter(f"adapter {pin.name}: this worker has no adapters_folder")
        path = self.folder / pin.name / WEIGHTS
        try:
            found = self._digest_of(path)
        except OSError as error:
            raise UnknownAdapter(f"adapter {pin.name}: {error.strerror}") from None
        if found != pin.digest:
            raise UnknownAdapter(f"adapter {pin.name}: expected {pin.digest}, found {found}")
        beyond = f"{self.on_server.rstrip('/')}/{pin.name}" if self.on_server else str(path.parent.absolute())
        return Lora(name=pin.name, path=beyond, number=lora_id_of(pin.digest))

    def _digest_of(self, path: Path) -> str:
        seen = path.stat()
        key = (path, seen.st_size, seen.st_mtime_ns)
        if key not in self._hashed:
            with path.open("rb") as file:
                self._hashed[key] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        return self._hashed[key]
