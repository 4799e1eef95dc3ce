"""The signature that a C answer must have: integers of exact width and bool, with the values that each parameter may take."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tierproof_contracts.errors import explain_validation

from tierproof_verifier.errors import InputRefused

IntegerType = Literal["bool", "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t", "uint64_t"]

_KEYWORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "bool",
        "true",
        "false",
        "main",
        "asm",
        "typeof",
    ]
)
_SHAPE = '{"name": ..., "returns": ..., "parameters": [{"name": ..., "type": ..., "min": ..., "max": ...}]}'

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-zA-Z0-9_]{0,62}$")]


def range_of(type_name: IntegerType) -> tuple[int, int]:
    """Return the smallest and the largest value of a type (C11 7.20.2)."""
    if type_name == "bool":
        return 0, 1
    signed = type_name.startswith("int")
    bits = int(re.sub(r"\D", "", type_name))
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


class Parameter(BaseModel):
    """One parameter; `min` and `max` are inclusive, and the range of the type where they are not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    type: IntegerType
    min: int | None = None
    max: int | None = None

    @property
    def lowest(self) -> int:
        """The smallest value that is tried."""
        return range_of(self.type)[0] if self.min is None else self.min

    @property
    def highest(self) -> int:
        """The largest value that is tried."""
        return range_of(self.type)[1] if self.max is None else self.max

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.highest - self.lowest + 1

    @model_validator(mode="after")
    def _range_fits_the_type(self) -> "Parameter":
        low, high = range_of(self.type)
        if not low <= self.lowest <= self.highest <= high:
            raise ValueError(f"min and max must be in order and within {low}..{high}")
        return self


class Signature(BaseModel):
    """Name, return type and parameters of the function."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    returns: IntegerType
    parameters: tuple[Parameter, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _names_are_usable(self) -> "Signature":
        names = [self.name, *(parameter.name for parameter in self.parameters)]
        if len(set(names)) != len(names):
            raise ValueError("the function and its parameters must have different names")
        if taken := sorted(name for name in names if name in _KEYWORDS or name.endswith("_t")):
            raise ValueError(f"{', '.join(taken)} cannot name a function or parameter")
        return self

    def prototype(self) -> str:
        """Return the declaration in C."""
        parameters = ", ".join(f"{parameter.type} {parameter.name}" for parameter in self.parameters)
        return f"{self.returns} {self.name}({parameters})"

    def vector_faults(self, vectors: tuple[tuple[int, ...], ...]) -> Iterator[str]:
        """Yield what is wrong with argument vectors, by number."""
        for number, vector in enumerate(vectors):
            if len(vector) != len(self.parameters):
                yield f"vector {number} has {len(vector)} values for {len(self.parameters)} parameters"
            elif any(not p.lowest <= value <= p.highest for p, value in zip(self.parameters, vector, strict=True)):
                yield f"vector {number} has a value outside the range of its parameter"


def signature_from(text: str) -> Signature:
    """Return the signature in the input `signature`. Raises `InputRefused`."""
    try:
        return Signature.model_validate_json(text)
    except ValidationError as error:
        raise InputRefused("signature", f"is not usable ({explain_validation(error)})", f"give {_SHAPE}") from None
