"""A service's README names the events that the topology lets it consume and publish."""

from pathlib import Path

import pytest
from tierproof_contracts import asyncapi, topology

SERVICES = sorted(path.parent for path in (Path(__file__).parents[3] / "services").glob("*/README.md"))
# Every service may give a message up or be second: the bus runtime publishes these two, and its README speaks of them.
OF_THE_RUNTIME = {"dead.lettered.v1", "publication.refused.v1"}


def test_there_are_readmes() -> None:
    assert SERVICES


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("folder", SERVICES, ids=lambda path: path.name)
def test_a_readme_names_what_its_service_hears_and_says(folder: Path) -> None:
    name = folder.name.replace("_", "-")
    users = [user for user in topology.SERVICES if name in {user.name, user.name.rpartition("-")[0]}]
    assert users, f"{name} is no user of the topology"
    text = (folder / "README.md").read_text()
    heard = {event_type for user in users for event_type in asyncapi.consumed_by(user)}
    said = {event_type for user in users for event_type in asyncapi.published_by(user)} - OF_THE_RUNTIME
    assert sorted(event_type for event_type in heard | said if event_type not in text) == []
