"""Each service's README says what it consumes and publishes; the topology decides whether that is true."""

import re
from pathlib import Path

import pytest
from tierproof_contracts import topology
from tierproof_contracts.catalogue import EVENTS

SERVICES = Path(__file__).resolve().parents[3] / "services"
FOLDERS = sorted(path.parent.name for path in SERVICES.glob("*/pyproject.toml"))
INCIDENTS = {"dead.lettered.v1", "publication.refused.v1"}  # every service may publish these
MOST_LINES = 50


def row(service: str, name: str) -> str:
    found = re.search(rf"^\|\s*{name}\s*\|(.*)\|\s*$", (SERVICES / service / "README.md").read_text(), re.MULTILINE)
    assert found, f"services/{service}/README.md has no table row `| {name} | ... |`"
    return found[1]


def named_in(text: str) -> set[str]:
    return {name for name in re.findall(r"`([a-z]+\.[a-z]+\.v\d+)`", text)}  # noqa: C416 - findall gives Any


def types_in(patterns: tuple[str, ...]) -> set[str]:
    return {event for event in EVENTS for pattern in patterns if pattern.startswith(f"tierproof.{event}.")}


def users_of(service: str) -> list[topology.User]:
    name = service.replace("_", "-")
    return [user for user in topology.SERVICES if user.name == name or user.name.startswith(f"{name}-")]


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("service", FOLDERS)
def test_a_readme_names_exactly_what_the_service_consumes(service: str) -> None:
    consumers = [consumer for user in users_of(service) for consumer in topology.consumers_of(user.name)]
    said = row(service, "consumes")
    consumed = types_in(tuple(pattern for consumer in consumers for pattern in consumer.filters))
    if "every event" in said:
        own = types_in(tuple(pattern for user in users_of(service) for pattern in user.publishes)) - INCIDENTS
        assert consumed >= set(EVENTS) - own
    else:
        assert named_in(said) == consumed


@pytest.mark.requirement("BUS-contracts")
@pytest.mark.parametrize("service", FOLDERS)
def test_a_readme_names_exactly_what_the_service_publishes(service: str) -> None:
    published = types_in(tuple(pattern for user in users_of(service) for pattern in user.publishes))
    assert named_in(row(service, "publishes")) - INCIDENTS == published - INCIDENTS


@pytest.mark.parametrize("service", FOLDERS)
def test_a_readme_is_short_and_says_how_the_service_fails(service: str) -> None:
    text = (SERVICES / service / "README.md").read_text()
    assert "How it fails" in text
    prose = re.sub(
        r"```.*?```|<!--.*?-->.*?<!-- end -->", "", text, flags=re.DOTALL
    )  # commands and generated tables aside
    assert len(prose.splitlines()) <= MOST_LINES
