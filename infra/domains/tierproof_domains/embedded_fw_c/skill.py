"""What a family of C tasks is: how to make a case of it, and the ways of wishing for it."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tierproof_domains.item import canonical
from tierproof_domains.splitting import Bank

Oracle = Callable[..., int]
BITS = {"uint8_t": 8, "uint16_t": 16, "uint32_t": 32, "int8_t": 8, "int16_t": 16, "int32_t": 32}
UNSIGNED = ("uint8_t", "uint16_t", "uint32_t")
SHORT_UNSIGNED = ("uint8_t", "uint16_t")
SHORT = ("uint8_t", "uint16_t", "int8_t", "int16_t")


def range_of(type_name: str) -> tuple[int, int]:
    """Return the smallest and the largest value of a type."""
    if type_name == "bool":
        return 0, 1
    bits = BITS[type_name]
    return (0, 2**bits - 1) if type_name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def converted(value: int, type_name: str) -> int:
    """Return a value as C converts it to a type: modulo its size, which gcc also does for signed types; bool is not zero."""
    if type_name == "bool":
        return int(value != 0)
    low, high = range_of(type_name)
    return (value - low) % (high - low + 1) + low


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter with the values that it may take, both ends included."""

    type: str
    name: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Form:
    """A body in C, and in Python what it returns for the arguments, before it is converted to the return type."""

    body: str
    oracle: Oracle


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is asked for, without a wording: `right`, an independent `reference` body, and `wrong` forms in order of likelihood."""

    returns: str
    parameters: tuple[Parameter, ...]
    right: Form
    reference: str
    wrong: tuple[Form, ...]
    words: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A skill. `verbs` end names of functions; `cores` are main clauses in the infinitive, with words in braces."""

    slug: str
    verbs: tuple[str, ...]
    cores: Bank
    make: Callable[[random.Random], Case]


def case(
    returns: str,
    parameters: Iterable[tuple[str, str] | tuple[str, str, int, int]],
    right: str,
    oracle: Oracle,
    *,
    reference: str,
    wrong: Iterable[tuple[str, Oracle]],
    **words: object,
) -> Case:
    """Return a case; a parameter without limits has those of its type; parameters are words by their places (a, b, c)."""
    given = tuple(Parameter(*(each if len(each) == 4 else (*each, *range_of(each[0])))) for each in parameters)  # noqa: PLR2004
    own = dict(zip("abc", (each.name for each in given), strict=False))
    return Case(
        returns=returns,
        parameters=given,
        right=Form(right, oracle),
        reference=reference,
        wrong=tuple(Form(*each) for each in wrong),
        words={**own, **{name: str(value) for name, value in words.items()}},
    )


def defined(name: str, of: Case, body: str) -> str:
    """Return the function in the one style of all answers. A body without a semicolon is an expression."""
    lines = body.split("\n") if ";" in body else [f"return {body};"]
    inside = "\n".join(f"    {line}" for line in lines)
    return f"{prototype(name, of)} {{\n{inside}\n}}"


def prototype(name: str, of: Case) -> str:
    """Return the declaration in C."""
    return f"{of.returns} {name}({', '.join(f'{each.type} {each.name}' for each in of.parameters)})"


def signature(name: str, of: Case) -> str:
    """Return the verifier's input `signature`; limits are given where they are narrower than the type's."""
    parameters = [
        {"name": each.name, "type": each.type}
        | ({} if (each.low, each.high) == range_of(each.type) else {"min": each.low, "max": each.high})
        for each in of.parameters
    ]
    return canonical({"name": name, "returns": of.returns, "parameters": parameters})


class Skills:
    """The families of one module, in the order in which they are written down."""

    def __init__(self) -> None:
        self.families: list[Family] = []

    def family(
        self, slug: str, *, verbs: str, cores: str
    ) -> Callable[[Callable[[random.Random], Case]], Callable[[random.Random], Case]]:
        """Register a function that makes cases. `verbs` are separated by white space, `cores` by line."""

        def registered(make: Callable[[random.Random], Case]) -> Callable[[random.Random], Case]:
            phrases = tuple(line.strip() for line in cores.strip().splitlines())
            self.families.append(Family(slug=slug, verbs=tuple(verbs.split()), cores=Bank(phrases), make=make))
            return make

        return registered
