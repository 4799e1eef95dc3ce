"""The hidden model `tier_base`: Triton's Python backend around the engine. Runs in the stub process."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from tierproof_model_server.adapters import AdapterRequest, CheckedAdapter, checked
from tierproof_model_server.engine import Engine
from tierproof_model_server.errors import ModelServerError
from tierproof_model_server.pipeline import Pipeline
from tierproof_model_server.prepare import verified_base
from tierproof_model_server.settings import EngineSettings
from tierproof_model_server.tensors import CANCEL, CANCEL_KEY
from tierproof_model_server.wire import Responses, generation_of, parameters_of

CLOSING_SECONDS = 5.0


class TritonPythonModel:
    """What Triton calls; the names are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Verify the base, load it, start the engine."""
        given = parameters_of(args["model_config"])
        self._settings = EngineSettings(**json.loads(given["engine_settings"]))
        self._root = Path(given["adapters"])
        base = verified_base(Path(given["base"]))
        self._geometry, self._source = base.geometry, base.source
        scratch = Path(given["scratch"])
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        settings = self._settings
        self._engine = Engine(
            build=lambda: Pipeline(base=base.folder, scratch=scratch, settings=settings), settings=settings
        )
        self._adapters: dict[int, CheckedAdapter] = {}
        self._cancellable: WeakValueDictionary[str, Responses] = WeakValueDictionary()

    def execute(self, requests: Sequence[Any]) -> None:
        """Queue requests; the engine's thread answers them."""
        for request in requests:
            responses = Responses(request)
            parameters = json.loads(request.parameters() or "{}")
            if CANCEL in parameters:
                self._cancel(parameters[CANCEL])
                responses.stopped()
                continue
            if CANCEL_KEY in parameters:
                self._cancellable[parameters[CANCEL_KEY]] = responses
            try:
                asked = generation_of(request, self._settings)
                self._engine.submit(asked, responses, self._adapter(asked.adapter))
            except ModelServerError as refused:
                responses.failed(refused)

    def finalize(self) -> None:
        """Stop the engine."""
        self._engine.close(patience_seconds=CLOSING_SECONDS)

    def _cancel(self, key: str) -> None:
        responses = self._cancellable.get(key)
        if responses is not None:
            responses.cancel()

    def _adapter(self, asked: AdapterRequest | None) -> CheckedAdapter | None:
        """Return the adapter of an id, read and checked at its first use; the id is bound to the bytes."""
        if asked is None:
            return None
        if asked.lora_id not in self._adapters:
            fresh = checked(
                asked,
                root=self._root,
                geometry=self._geometry,
                most_bytes=self._settings.most_adapter_bytes,
                source=self._source,
            )
            if len(self._adapters) >= self._settings.most_adapters:
                self._adapters.pop(next(iter(self._adapters)))
            self._adapters[asked.lora_id] = fresh
        return self._adapters[asked.lora_id]
