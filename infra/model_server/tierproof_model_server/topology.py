"""Which MatMul of the converted graph is which linear layer: found by build order, proved by shapes and by the edges around it."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tierproof_model_server.errors import PreparationRefused
from tierproof_model_server.geometry import PARTS, Geometry

ATTENTION = "ScaledDotProductAttention"
MOST_NODES_BACK = 400  # from attention back to its projection are some dozens of nodes
Node = Any  # openvino.Node; the package publishes no types


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One linear layer: its node, its layer and its part (a key of PARTS)."""

    node: Node
    layer: int
    part: str

    @property
    def friendly_name(self) -> str:
        """Return the name by which OpenVINO GenAI binds PEFT tensors."""
        return f"__module.model.layers.{self.layer}.{self.part}/ov_ext::linear/MatMul"


def linear_layers(model: Node, geometry: Geometry) -> list[Linear]:
    """Return all linear layers but the vocabulary, proved; raises PreparationRefused on any surprise."""
    operations = model.get_ordered_ops()
    static = [
        node
        for node in operations
        if node.get_type_name() == "MatMul" and node.input_value(1).get_partial_shape().is_static
    ]
    inner = [node for node in static if _shape(node)[0] != geometry.vocabulary]
    _expect("one vocabulary matrix", 1, len(static) - len(inner))
    _expect("seven matrices a layer", len(PARTS) * geometry.layers, len(inner))
    inner.sort(key=_build_order)
    parts = list(PARTS)
    found = [
        Linear(node=node, layer=number // len(parts), part=parts[number % len(parts)])
        for number, node in enumerate(inner)
    ]
    for linear in found:
        _expect(f"shape of {linear.friendly_name}", geometry.shapes[linear.part], _shape(linear.node))
        _prove_consumers(linear)
    _prove_attention([node for node in operations if node.get_type_name() == ATTENTION], found, geometry)
    return found


def _prove_attention(attentions: Sequence[Node], linears: Iterable[Linear], geometry: Geometry) -> None:
    """Ports 0, 1, 2 of the n-th attention are fed by q, k, v of layer n."""
    by_name = {linear.node.get_friendly_name(): linear for linear in linears}
    _expect("one attention a layer", geometry.layers, len(attentions))
    for layer, attention in enumerate(attentions):
        for port, part in enumerate(list(PARTS)[:3]):
            feeding = {
                by_name[name] for name in _matmuls_behind(attention.input_value(port).get_node(), by_name.__contains__)
            }
            found = [(linear.layer, linear.part) for linear in feeding]
            _expect(f"what feeds port {port} of attention {layer}", [(layer, part)], found)


def _prove_consumers(linear: Linear) -> None:
    """Gate feeds the activation, up feeds the product, o and down feed the residual sum."""
    kinds = [target.get_node().get_type_name() for port in linear.node.outputs() for target in port.get_target_inputs()]
    match linear.part.rpartition(".")[2]:
        case "gate_proj":
            right = "Swish" in kinds
        case "up_proj":
            right = "Multiply" in kinds and "Swish" not in kinds
        case "o_proj" | "down_proj":
            right = kinds == ["Add"]
        case _:
            right = True  # q, k and v are proved from the attention's side
    if not right:
        raise PreparationRefused(
            expected=f"{linear.part} of layer {linear.layer} in its place", found=f"it feeds {kinds}"
        )


def _matmuls_behind(node: Node, wanted: Callable[[str], bool]) -> set[str]:
    """Return the names of the first wanted MatMuls found backwards."""
    seen: set[str] = set()
    waiting, found = [node], set()
    while waiting and len(seen) < MOST_NODES_BACK:
        current = waiting.pop()
        name = current.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if current.get_type_name() != "MatMul":
            waiting.extend(current.input_value(port).get_node() for port in range(current.get_input_size()))
        elif wanted(name):
            found.add(name)
    return found


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(node.input_value(1).get_shape())


def _build_order(node: Node) -> int:
    numbered = re.fullmatch(r"MatMul_(\d+)", node.get_friendly_name())
    if numbered is None:
        raise PreparationRefused(expected="a MatMul named by its number", found=node.get_friendly_name())
    return int(numbered.group(1))


def _expect(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise PreparationRefused(expected=f"{what}: {expected}", found=str(found))
