"""What the provisioner would change, and what it refuses to change."""

from typing import Any

import pytest
from tierproof_bus.provision import Deployment, consumer_config, difference, losses, stream_config
from tierproof_contracts.topology import CONSUMERS, STREAMS

ONE = Deployment(replicas=1)
TASK = next(stream for stream in STREAMS if stream.name == "TASK")
TIMER = next(stream for stream in STREAMS if stream.schedules)
MODEL = next(stream for stream in STREAMS if stream.keep_for_ever)


def test_publish_once_streams_keep_the_first_message_of_each_subject() -> None:
    config = stream_config(TASK, ONE)
    assert (config["max_msgs_per_subject"], config["discard"], config["discard_new_per_subject"]) == (1, "new", True)
    assert config["allow_rollup_hdrs"] is False


def test_only_one_stream_knows_schedules() -> None:
    assert [s.name for s in STREAMS if stream_config(s, ONE)["allow_msg_schedules"]] == [TIMER.name]


def test_what_is_kept_for_ever_cannot_be_deleted() -> None:
    config = stream_config(MODEL, ONE)
    assert config["deny_delete"]
    assert config["deny_purge"]
    assert config["max_age"] == 0


def test_replicas_are_the_streams_own_up_to_what_the_deployment_has() -> None:
    assert stream_config(TASK, Deployment(replicas=3))["num_replicas"] == 3
    assert stream_config(TASK, Deployment(replicas=5))["num_replicas"] == 3
    assert stream_config(TASK, ONE)["num_replicas"] == 1


def test_ack_wait_can_be_shortened_for_tests() -> None:
    assert consumer_config(CONSUMERS[0], Deployment(ack_wait=1.5))["ack_wait"] == 1_500_000_000
    assert consumer_config(CONSUMERS[0], ONE)["ack_wait"] == 30_000_000_000


def test_equal_configurations_differ_in_nothing_whatever_else_the_broker_adds() -> None:
    wanted = stream_config(TASK, ONE)
    found = {name: value for name, value in wanted.items() if value not in (0, False, "", [])} | {
        "metadata": {"x": "y"}
    }
    assert difference(wanted, found) == {}


def test_a_single_filter_may_come_back_in_its_other_field() -> None:
    wanted = consumer_config(CONSUMERS[0], ONE)
    found = {name: value for name, value in wanted.items() if name != "filter_subjects"}
    assert difference(wanted, found | {"filter_subject": CONSUMERS[0].filters[0]}) == {}


@pytest.mark.parametrize(
    ("field", "found", "wanted"),
    [
        ("max_age", 0, 60),
        ("max_age", 100, 60),
        ("subjects", ["a.>", "b.>"], ["a.>"]),
        ("filter_subjects", ["a.>"], ["b.>"]),
        ("num_replicas", 3, 1),
        ("max_msgs_per_subject", -1, 1),
        ("storage", "memory", "file"),
        ("ack_policy", "all", "explicit"),
        ("discard", "new", "old"),
        ("deny_delete", True, False),
        ("deny_purge", True, False),
        ("discard_new_per_subject", True, False),
    ],
)
def test_changes_that_lose_messages_or_promises_are_named(field: str, found: Any, wanted: Any) -> None:
    assert len(losses({field: (found, wanted)})) == 1


@pytest.mark.parametrize(
    ("field", "found", "wanted"),
    [
        ("max_age", 60, 100),
        ("max_age", 60, 0),
        ("subjects", ["a.>"], ["a.>", "b.>"]),
        ("num_replicas", 1, 3),
        ("ack_wait", 1, 2),
        ("max_ack_pending", 64, 32),
        ("deny_delete", False, True),
        ("allow_direct", False, True),
    ],
)
def test_harmless_changes_are_made(field: str, found: Any, wanted: Any) -> None:
    assert losses({field: (found, wanted)}) == []
