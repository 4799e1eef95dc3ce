"""What may change in a published contract: optional fields may come, and nothing else."""

from collections.abc import Callable
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, create_model
from tierproof_contracts.compatibility import incompatibilities
from tierproof_contracts.schemas import schema_of


class Right(BaseModel):
    status: Literal["right"] = "right"
    sure: int = Field(ge=0)


class Wrong(BaseModel):
    status: Literal["wrong"] = "wrong"
    why: str


class Perhaps(BaseModel):
    status: Literal["perhaps"] = "perhaps"


class WrongAndSaysMore(BaseModel):
    """Same tag, one more optional field."""

    status: Literal["wrong"] = "wrong"
    why: str
    since: int | None = None


class WrongAndMustSayMore(BaseModel):
    status: Literal["wrong"] = "wrong"
    why: str
    since: int


Union = Annotated[Right | Wrong, Field(discriminator="status")]
Fields = dict[str, object]

BEFORE: Fields = {
    "name": (Annotated[str, Field(pattern="^[a-z]+$")], ...),
    "size": (Annotated[int, Field(ge=0, le=10)], ...),
    "tier": (Literal["s", "m"], ...),
    "words": (Annotated[tuple[str, ...], Field(min_length=1, max_length=4)], ...),
    "note": (Annotated[str, Field(max_length=20)] | None, None),
    "times": (int, 3),
    "verdict": (Union, ...),
    "inputs": (dict[Annotated[str, Field(pattern="^[a-z]+$")], int], ...),
    "by_tier": (dict[Literal["s", "m"], int], ...),
}


def schema(fields: Fields) -> dict[str, object]:
    return schema_of(create_model("Said", **fields))  # type: ignore[call-overload]


def changed(**fields: object) -> Fields:
    return {**BEFORE, **fields}


def without(*names: str) -> Fields:
    return {name: field for name, field in BEFORE.items() if name not in names}


ALLOWED: dict[str, Fields] = {
    "nothing": BEFORE,
    "an optional field more": changed(later=(int | None, None)),
    "a field with a default more": changed(later=(Literal["a", "b"], "a")),
    "an optional field less": without("note"),
    "a description only": changed(size=(Annotated[int, Field(ge=0, le=10, description="how many")], ...)),
    "an optional field more in an alternative": changed(
        verdict=(Annotated[Right | WrongAndSaysMore, Field(discriminator="status")], ...)
    ),
    "alternatives in another order": changed(verdict=(Annotated[Wrong | Right, Field(discriminator="status")], ...)),
}
REFUSED: dict[str, tuple[Fields, str]] = {
    "a required field more": (changed(later=(int, ...)), "later"),
    "a required field less": (without("size"), "size"),
    "a rename": ({**without("size"), "count": BEFORE["size"]}, "size"),
    "required becomes optional": (changed(size=(Annotated[int, Field(ge=0, le=10)], 1)), "size"),
    "optional becomes required": (changed(note=(Annotated[str, Field(max_length=20)] | None, ...)), "note"),
    "another type": (changed(size=(str, ...)), "size"),
    "a wider type": (changed(size=(int | str, ...)), "size"),
    "null allowed": (changed(size=(Annotated[int, Field(ge=0, le=10)] | None, ...)), "size"),
    "null no more": (changed(note=(Annotated[str, Field(max_length=20)], "x")), "note"),
    "a word more": (changed(tier=(Literal["s", "m", "l"], ...)), "tier"),
    "a word less": (changed(tier=(Literal["s"], ...)), "tier"),
    "words set free": (changed(tier=(str, ...)), "tier"),
    "an upper bound tightened": (changed(size=(Annotated[int, Field(ge=0, le=9)], ...)), "size"),
    "an upper bound loosened": (changed(size=(Annotated[int, Field(ge=0, le=11)], ...)), "size"),
    "a lower bound tightened": (changed(size=(Annotated[int, Field(ge=1, le=10)], ...)), "size"),
    "a bound gone": (changed(size=(Annotated[int, Field(ge=0)], ...)), "size"),
    "another pattern": (changed(name=(Annotated[str, Field(pattern="^[a-z0-9]+$")], ...)), "name"),
    "no pattern": (changed(name=(str, ...)), "name"),
    "fewer words in a list": (
        changed(words=(Annotated[tuple[str, ...], Field(min_length=1, max_length=3)], ...)),
        "words",
    ),
    "a list of another thing": (
        changed(words=(Annotated[tuple[int, ...], Field(min_length=1, max_length=4)], ...)),
        "words[]",
    ),
    "another default": (changed(times=(int, 4)), "times"),
    "a longer text in an optional field": (changed(note=(Annotated[str, Field(max_length=21)] | None, None)), "note"),
    "an alternative more": (
        changed(verdict=(Annotated[Right | Wrong | Perhaps, Field(discriminator="status")], ...)),
        "verdict",
    ),
    "an alternative less": (changed(verdict=(Wrong, ...)), "verdict"),
    "a required field more in an alternative": (
        changed(verdict=(Annotated[Right | WrongAndMustSayMore, Field(discriminator="status")], ...)),
        "verdict.since",
    ),
    "other names of inputs": (
        changed(inputs=(dict[Annotated[str, Field(pattern="^[a-z0-9]+$")], int], ...)),
        "inputs.<name>",
    ),
    "inputs of another type": (
        changed(inputs=(dict[Annotated[str, Field(pattern="^[a-z]+$")], str], ...)),
        "inputs.<entry>",
    ),
    "inputs of any name": (changed(inputs=(dict[str, int], ...)), "inputs.<name>"),
    "a tier more as a name": (changed(by_tier=(dict[Literal["s", "m", "l"], int], ...)), "by_tier.<name>"),
    "a keyword that is not judged": (changed(size=(Annotated[int, Field(multiple_of=2)], ...)), "size"),
}


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("fields", ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed_in_place(fields: Fields) -> None:
    assert incompatibilities(schema(BEFORE), schema(fields)) == []


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize(("fields", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_by_the_name_of_the_field(fields: Fields, field: str) -> None:
    faults = incompatibilities(schema(BEFORE), schema(fields))
    assert any(fault.startswith(f"{field}:") for fault in faults), faults


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize(("fields", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_going_back_is_refused_as_well(fields: Fields, field: str) -> None:
    assert incompatibilities(schema(fields), schema(BEFORE)), field


def test_a_document_may_grow_since_only_its_new_readers_count() -> None:
    def strict(fields: Fields) -> dict[str, object]:
        return {**schema(fields), "additionalProperties": False}

    grown = strict(ALLOWED["an optional field more"])
    assert incompatibilities(strict(BEFORE), grown, old_readers_read_new=False) == []
    assert incompatibilities(strict(BEFORE), grown), "its old readers refuse a field that they do not know"
    assert incompatibilities(grown, strict(BEFORE), old_readers_read_new=False), "and so do new ones, when it is gone"


@pytest.mark.parametrize(
    "edit",
    [
        lambda node: node["properties"]["size"].update({"not": {"const": 3}}),
        lambda node: node["properties"]["size"].update({"anyOf": [{"type": "integer"}]}),
        lambda node: node.update({"if": {}, "then": {}}),
    ],
)
def test_what_cannot_be_judged_is_refused(edit: Callable[[dict[str, object]], None]) -> None:
    new = schema(BEFORE)
    edit(new)
    assert any("cannot be judged" in fault for fault in incompatibilities(schema(BEFORE), new))
