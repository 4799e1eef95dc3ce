"""Which checks a task kind has, and the walk over a request's answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tierproof_contracts.verification import Candidate, Verdict

from tierproof_verifier import decide
from tierproof_verifier.checks import dicom, embedded_c, reg_doc
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.errors import SandboxRefused, UnknownKind
from tierproof_verifier.findings import Assessment
from tierproof_verifier.settings import VerifierSettings

KINDS = ("dicom-adjacent", "embedded-fw-c", "reg-doc-drafting")
Assess = Callable[[str], Awaitable[Assessment]]


def check_for(
    kind: str, inputs: Mapping[str, str], *, seed: str, settings: VerifierSettings, bench: Bench | SandboxRefused
) -> Assess:
    """Return the check of one request. Raises `UnknownKind`, `InputRefused`, and `SandboxRefused` where code would have to run."""
    match kind:
        case "reg-doc-drafting":
            return _at_once(reg_doc.check_from(inputs, settings.document_limits()).assess)
        case "dicom-adjacent":
            question = dicom.check_from(
                inputs,
                limits=settings.json_limits(),
                most_findings=settings.most_findings,
                show_expected=settings.show_expected,
            )
            return _at_once(question.assess)
        case "embedded-fw-c":
            if isinstance(bench, SandboxRefused):
                raise bench
            return embedded_c.check_from(inputs, seed=seed, bench=bench, policy=settings.c_policy()).assess
        case _:
            raise UnknownKind(kind, KINDS)


async def verdict_for(candidates: Sequence[Candidate], assess: Assess) -> Verdict:
    """Check answers in their order until one passes. Raises what the check raises: then there is no verdict on any."""
    assessments: list[Assessment] = []
    for candidate in candidates:
        cut_off = candidate.finish_reason == "length"
        assessments.append(decide.cut_off() if cut_off else await assess(candidate.text.text))
        if assessments[-1].passed:
            break
    return decide.verdict_on(assessments)


def _at_once(assess: Callable[[str], Assessment]) -> Assess:
    async def assessed(answer: str) -> Assessment:
        return assess(answer)

    return assessed
