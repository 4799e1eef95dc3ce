"""Says which answers are right, by gcc and the oracles of this package, independent of the product's verifier.

`check` and `check_many` compare an answer with its item's reference. `faults_of_cases` goes deeper: answers, references and rejected
answers are compared with oracles in Python, so that what an item calls right is right twice.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from tierproof_domains.embedded_fw_c.compiling import Trial, plain, results_of
from tierproof_domains.embedded_fw_c.faults import returned
from tierproof_domains.embedded_fw_c.generating import Made
from tierproof_domains.embedded_fw_c.skill import Form, Parameter, defined, range_of
from tierproof_domains.embedded_fw_c.vectors import vectors_for, vectors_of
from tierproof_domains.item import Item

_Each = TypeVar("_Each")
_NUMBER = re.compile(r"\b(0x[0-9A-Fa-f]+|[1-9]\d*)")
_NAME = re.compile(r"\b(\w+)\(")
_BATCH = 100  # items in one program: gcc's memory stays small, its start costs little


def check(item: Item, answer: str) -> list[str]:
    """Return what is wrong with an answer to an item; empty when it is right."""
    return _faults([(item, (answer,))])[0][0]


def check_many(items: Iterable[Item], *, rejected_too: bool = True) -> Iterator[tuple[Item, list[str]]]:
    """Yield each item with what is wrong with it: an answer that is not right, or a rejected one that is.

    Takes about 20 ms of processor time for an item, 7 ms without the rejected.
    """
    for some in _batches(items):
        found = _faults([(item, (item.answer, *(item.rejected if rejected_too else ()))) for item in some])
        for item, (wrong, *others) in zip(some, found, strict=True):
            right = [answer for answer, faults in zip(item.rejected, others, strict=False) if not faults]
            yield item, [*wrong, *(f"a rejected answer is right: {answer}" for answer in right)]


def faults_of_cases(cases: Iterable[Made]) -> Iterator[str]:
    """Yield, for each form of a case, where what gcc computes is not what its oracle in Python says."""
    for some in _batches(cases):
        pairs = [(made, form) for made in some for form in _forms(made)]
        trials = [
            Trial(
                source=defined(made.name, made.case, form.body),
                types=tuple(each.type for each in made.case.parameters),
                vectors=vectors_of(made.case),
            )
            for made, form in pairs
        ]
        for (made, form), trial, got in zip(pairs, trials, results_of(trials), strict=True):
            expected = tuple(returned(made.case, form.oracle, vector) for vector in trial.vectors)
            for difference in _difference(trial, expected, got):
                yield f"{made.item.family}: {trial.source}\n{difference}"


def shape_of(item: Item) -> str:
    """Return an item's answer with its names replaced by their places: what is left is what a model could have learned by heart."""
    names = [given["name"] for given in json.loads(item.inputs["signature"])["parameters"]]
    place = {name: f"p{number}" for number, name in enumerate(names)} | {_NAME.findall(item.answer)[0]: "f"}
    return re.sub(r"\b[a-z]\w*\b", lambda word: place.get(word[0], word[0]), item.answer)


def _forms(made: Made) -> tuple[Form, ...]:
    case = made.case
    return (case.right, Form(case.reference, case.right.oracle), *case.wrong)


def _faults(asked: Sequence[tuple[Item, tuple[str, ...]]]) -> list[list[list[str]]]:
    """Return, for each item and each answer to it, what is wrong. The reference runs once for all answers to its item."""
    trials = [trial for item, answers in asked for trial in _trials(item, answers)]
    results = iter(zip(trials, results_of(trials), strict=True))
    found = []
    for item, answers in asked:
        _, expected = next(results)
        declared, _ = _signature(item)
        found.append([
            _difference(trial, expected, got) if plain(answer, declared) else [f"the answer must be one plain `{declared}`"]
            for answer, (trial, got) in ((answer, next(results)) for answer in answers)
        ])  # fmt: skip
    return found


def _trials(item: Item, answers: Sequence[str]) -> Iterator[Trial]:
    """Yield the reference and the answers on the same vectors; an answer that is not plain never runs."""
    declared, parameters = _signature(item)
    reference = item.inputs["reference"]
    sources = [reference, *(answer if plain(answer, declared) else reference for answer in answers)]
    numbers = dict.fromkeys(int(number, 0) for source in sources for number in _NUMBER.findall(source))
    vectors = vectors_for(parameters, tuple(numbers), item.id, thorough=True)
    for source in sources:
        yield Trial(source=source, types=tuple(each.type for each in parameters), vectors=vectors)


def _signature(item: Item) -> tuple[str, tuple[Parameter, ...]]:
    given = json.loads(item.inputs["signature"])
    parameters = []
    for each in given["parameters"]:
        low, high = range_of(each["type"])
        parameters.append(Parameter(each["type"], each["name"], each.get("min", low), each.get("max", high)))
    listed = ", ".join(f"{each.type} {each.name}" for each in parameters)
    return f"{given['returns']} {given['name']}({listed})", tuple(parameters)


def _difference(trial: Trial, expected: tuple[int, ...] | str, got: tuple[int, ...] | str) -> list[str]:
    if isinstance(expected, str):
        return [f"the reference: {expected}"]
    if isinstance(got, str):
        return [got]
    wrong = (row for row in zip(trial.vectors, expected, got, strict=True) if row[1] != row[2])
    return [f"for {vector} it returned {had}, expected {wanted}" for vector, wanted, had in itertools.islice(wrong, 1)]


def _batches(each: Iterable[_Each]) -> Iterator[list[_Each]]:
    them = iter(each)
    while batch := list(itertools.islice(them, _BATCH)):
        yield batch
