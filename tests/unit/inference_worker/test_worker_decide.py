"""What the worker believes and what it says of trouble."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tierproof_contracts.inference import Completed, Decode, InferenceRequestedV1, ModelPin, NotCompleted
from tierproof_contracts.slip import Slip
from tierproof_contracts.text import Text
from tierproof_contracts.topology import SERVICES, TIERS, consumers_of
from tierproof_inference_worker import decide
from tierproof_inference_worker.adapters import AdapterFolder, UnknownAdapter, lora_id_of
from tierproof_inference_worker.chunks import Generated
from tierproof_inference_worker.decide import Reported
from tierproof_inference_worker.errors import (
    OutOfTime,
    ProfileMismatch,
    ServerDown,
    ServerRefused,
    ServerStalled,
    ServerTrouble,
    UnfitAnswer,
)
from tierproof_inference_worker.profiles import Capabilities
from tierproof_inference_worker.settings import InferenceWorkerSettings

ONE, TWO, THREE, OTHER = (f"sha256:{number:02x}" + "00" * 31 for number in range(1, 5))
TASK = "acme_" + "0" * 32
WHEN = "2026-01-01T00:01:00Z"
PIN = ModelPin(name="tier_s", weights=ONE, tokenizer=TWO, engine=THREE, decode_mode="reproducible")
ABLE = Capabilities(schema=True, lora=True, cumulative=False, inputs=frozenset())
REPORTED = Reported(model="tier_s", weights=ONE, tokenizer=TWO, engine=THREE, decode_mode="reproducible", able=ABLE)
ASKED = InferenceRequestedV1(
    request_id="00000000-0000-4000-8000-000000000001",
    task_id=TASK,
    tenant="acme",
    tier="s",
    purpose="answer",
    prompt=Text(text="hello", salt="0a" * 16),
    model=PIN,
    decode=Decode(max_tokens=8, temperature_micro=0, seed=5, samples=2),
    deadline=WHEN,
    slip=Slip(
        task_id=TASK, tenant="acme", kind="k", safety_class="A", policy=ONE, fleet=ONE, reviewers=ONE, accepted_at=WHEN,
        deadline=WHEN,
    ),
)  # fmt: skip


def test_the_pinned_model_is_believed() -> None:
    assert decide.refusal(ASKED, REPORTED) is None


@pytest.mark.requirement("S1.2-pinned")
@pytest.mark.parametrize("what", ["model", "weights", "tokenizer", "engine", "decode_mode"])
def test_anything_else_is_a_digest_mismatch(what: str) -> None:
    change: dict[str, Any] = {what: "throughput" if what == "decode_mode" else OTHER}
    refused = decide.refusal(ASKED, replace(REPORTED, **change))
    assert refused is not None
    assert (refused.code, refused.another_try) == ("digest-mismatch", False)
    assert what in refused.detail


@pytest.mark.requirement("S1.2-pinned")
@pytest.mark.parametrize("what", ["weights", "tokenizer", "engine"])
def test_silence_is_no_digest(what: str) -> None:
    change: dict[str, Any] = {what: None}
    refused = decide.refusal(ASKED, replace(REPORTED, **change))
    assert refused is not None
    assert refused.code == "digest-mismatch"


def test_a_mode_that_is_not_named_is_covered_by_the_engines_digest() -> None:
    assert decide.refusal(ASKED, replace(REPORTED, decode_mode=None)) is None


@pytest.mark.parametrize(
    ("trouble", "code", "again"),
    [
        (ServerDown("x"), "server-down", True),
        (ServerStalled("x"), "server-stalled", True),
        (OutOfTime("x"), "deadline", False),
        (UnknownAdapter("x"), "unknown-adapter", False),
        (ProfileMismatch("x"), "server-error", False),
        (UnfitAnswer("x"), "server-error", True),
        (ServerRefused("PromptTooLong: the prompt has 3 tokens"), "prompt-too-long", False),
        (ServerRefused("RequestRefused: top_p is out of range"), "server-error", False),
        (ServerRefused("Stub process 'tier_s_0' is not healthy."), "crashed", True),
        (ServerRefused("who knows"), "server-error", True),
    ],
)
def test_each_trouble_has_a_code_and_says_whether_to_try_again(
    trouble: ServerTrouble, code: str, *, again: bool
) -> None:
    said = decide.failure_of(trouble)
    assert (said.code, said.another_try) == (code, again)


def test_every_error_of_our_model_server_that_a_request_can_meet_is_known() -> None:
    from tierproof_model_server import errors  # noqa: PLC0415 - the other side of the wire

    met = [*errors.RequestRefused.__subclasses__(), errors.GenerationFailed, errors.EngineGone, errors.DeadlinePassed]
    codes = {kind.__name__: decide.failure_of(ServerRefused(f"{kind.__name__}: x")).code for kind in met}
    assert "server-error" not in codes.values(), codes


def test_no_trouble_is_without_a_code() -> None:
    def kinds(base: type[ServerTrouble]) -> list[type[ServerTrouble]]:
        return [kind for sub in base.__subclasses__() for kind in (sub, *kinds(sub))]

    assert {decide.failure_of(kind("x")).status for kind in kinds(ServerTrouble)} == {"failed"}


def test_sample_i_uses_seed_plus_i() -> None:
    assert [order.seed for order in decide.orders_of(ASKED, None)] == [5, 6]


def test_an_answer_is_salted_by_its_place_and_nothing_else() -> None:
    generated = [Generated(text="a", finish_reason="stop"), Generated(text="a", finish_reason="length")]
    first, again = (decide.completed(ASKED, generated, generation_ms=1, replica="r") for _ in range(2))
    assert isinstance(first, Completed)
    assert first == again
    assert first.answers[0].text.salt != first.answers[1].text.salt


def test_an_end_that_nobody_knows_is_no_answer() -> None:
    found = decide.completed(ASKED, [Generated(text="a", finish_reason="banana")], generation_ms=1, replica="r")
    assert isinstance(found, NotCompleted)
    assert found.code == "server-error"


def test_the_deadline_counts_from_the_clock_that_is_given() -> None:
    assert decide.seconds_left(WHEN, datetime(2026, 1, 1, tzinfo=UTC)) == 60.0
    assert decide.seconds_left(WHEN, datetime(2026, 1, 1, 0, 2, tzinfo=UTC)) == -60.0


def test_a_lora_id_is_the_first_63_bits_of_the_digest() -> None:
    assert lora_id_of("sha256:" + "ff" * 32) == 2**63 - 1
    assert lora_id_of("sha256:" + "00" * 7 + "02" + "00" * 24) == 1


def test_a_worker_without_a_folder_knows_no_adapter() -> None:
    from tierproof_contracts.inference import AdapterPin  # noqa: PLC0415 - one use

    with pytest.raises(UnknownAdapter, match="adapters_folder"):
        AdapterFolder(folder=None).verified(AdapterPin(name="x", digest=ONE))


README = Path(__file__).parents[3] / "services/inference_worker/README.md"


def test_the_readme_says_what_the_topology_says() -> None:
    text = README.read_text()
    for tier in TIERS:
        name = InferenceWorkerSettings(tier=tier).user
        (consumer,) = consumers_of(name)
        assert consumer.durable.replace(f"-{tier}--", "-<tier>--") in text
        assert any(user.name == name for user in SERVICES)
    assert "inference.requested.v1" in text
    assert "inference.settled.v1" in text
    assert len(text.splitlines()) <= 25


def test_the_worker_needs_no_database_driver() -> None:
    blocked = (
        "import sys\n"
        "for name in ('psycopg', 'sqlalchemy', 'asyncpg'): sys.modules[name] = None\n"
        "import tierproof_inference_worker.__main__\n"
    )
    subprocess.run([sys.executable, "-c", blocked], check=True, timeout=60)
