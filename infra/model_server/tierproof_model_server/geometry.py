"""The shapes of a Llama model's linear layers, and their names in three vocabularies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

PARTS = {  # Hugging Face name -> GGUF name, in the order of use within a layer
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Sizes of the model; all are counts of elements."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int

    @classmethod
    def of_gguf(cls, facts: Mapping[str, Any]) -> Self:
        """Read the sizes from a GGUF header."""
        return cls(
            layers=int(facts["llama.block_count"]),
            width=int(facts["llama.embedding_length"]),
            feed_forward=int(facts["llama.feed_forward_length"]),
            heads=int(facts["llama.attention.head_count"]),
            kv_heads=int(facts["llama.attention.head_count_kv"]),
            vocabulary=int(facts["llama.vocab_size"]),
        )

    @property
    def head_size(self) -> int:
        """Return the width of one attention head."""
        return self.width // self.heads

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Return (outputs, inputs) of each linear part of a layer."""
        width, narrow, wide = self.width, self.kv_heads * self.head_size, self.feed_forward
        shapes = [
            (width, width),
            (narrow, width),
            (narrow, width),
            (width, width),
            (wide, width),
            (wide, width),
            (width, wide),
        ]
        return dict(zip(PARTS, shapes, strict=True))

    def modules(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield each module's name, `layers.3.mlp.up_proj`, and its (outputs, inputs)."""
        for layer in range(self.layers):
            for part, shape in self.shapes.items():
                yield f"layers.{layer}.{part}", shape
