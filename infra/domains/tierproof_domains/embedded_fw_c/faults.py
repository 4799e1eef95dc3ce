"""Finds what is wrong with wrong forms, on inputs like the verifier's, without a compiler."""

import random
from collections.abc import Iterator

from tierproof_domains.embedded_fw_c.skill import Case, Form, Oracle, converted, defined, prototype
from tierproof_domains.embedded_fw_c.vectors import Vector, vectors_of
from tierproof_domains.repairing import Fault

_OF_FORM = 0.12  # of all faults


def wrong_answers(name: str, case: Case) -> tuple[str, ...]:
    """Return the wrong forms as answers, without those that are right for every vector."""
    return tuple(defined(name, case, form.body) for form, _, _ in _refuted(case))


def fault_of(name: str, case: Case, chance: random.Random) -> Fault | None:
    """Return what the verifier says of one likely wrong answer: mostly a wrong result, now and then of a wrong form."""
    if chance.random() < _OF_FORM:
        return chance.choice(_faults_of_form(name, case))
    found = list(_refuted(case))
    if not found:
        return None
    _, vector, got = chance.choice(found)
    where = ", ".join(f"{each.name}={value}" for each, value in zip(case.parameters, vector, strict=True))
    return Fault(where, f"the function returned {got}, which is wrong")


def _faults_of_form(name: str, case: Case) -> tuple[Fault, ...]:
    """Return what the verifier says of another prototype, of words before the function, of a function cut off and of a second one."""
    at_name = len(case.returns) + 2
    unread = "this is not one plain C function: it cannot be read from here on; give the function alone"
    beside = "the answer must be exactly one function definition, with no other declaration beside it"
    return (
        Fault(f"1:{at_name}", f"the function must be `{prototype(name, case)}`"),
        Fault("1:1", unread),
        Fault("", unread),
        Fault(f"4:{at_name}", beside),
    )


def returned(case: Case, oracle: Oracle, vector: Vector) -> int:
    """Return what C returns for arguments."""
    return converted(int(oracle(*vector)), case.returns)


def _refuted(case: Case) -> Iterator[tuple[Form, Vector, int]]:
    """Yield each wrong form with the first vector for which it returns something wrong, and what."""
    right = [(vector, returned(case, case.right.oracle, vector)) for vector in vectors_of(case)]
    for form in case.wrong:
        for vector, expected in right:
            got = returned(case, form.oracle, vector)
            if got != expected:
                yield form, vector, got
                break
