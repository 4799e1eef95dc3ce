"""A state folder that is started twice."""

from pathlib import Path

from tierproof_bus import Bus
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack


async def digests_in_force(stack: Stack) -> tuple[str, str, str]:
    async with Bus.connect("router", stack.bus_settings("router")) as bus:
        policy = await bus.document_in_force("routing-policy")
        manifest = await bus.document_in_force("fleet-manifest")
        reviewers = await bus.document_in_force("reviewers")
    return policy.digest(), manifest.digest(), reviewers.digest()


async def test_a_second_start_signs_nothing_new(tmp_path: Path) -> None:
    only = EmbeddedSettings(home=tmp_path, model_engine="noop", only=("first-steps",))
    async with running_stack(only) as first:
        assert [notice.loud for notice in first.notices] == [True] * 5
        before = await digests_in_force(first)
    async with running_stack(only) as second:
        assert second.notices == ()
        assert await digests_in_force(second) == before
