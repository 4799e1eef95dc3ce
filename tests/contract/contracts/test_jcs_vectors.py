"""The published vectors of RFC 8785: same bytes where the value is allowed, refusal where our subset excludes it."""

import json
from pathlib import Path

import pytest
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.errors import NotCanonical

REFUSED = {"french": "keys", "structures": "float", "values": "float", "weird": "keys"}


@pytest.mark.requirement("LED-proof")
def test_the_published_pairs(vectors: Path) -> None:
    inputs = {path.stem: path for path in (vectors / "jcs" / "input").glob("*.json")}
    assert len(inputs) == 6
    refused = {}
    for name, path in inputs.items():
        try:
            found = canonical_json(json.loads(path.read_bytes()))
        except NotCanonical as refusal:
            refused[name] = str(refusal)
        else:
            assert found == (vectors / "jcs" / "output" / path.name).read_bytes()
    assert refused.keys() == REFUSED.keys()
    assert all(REFUSED[name] in said for name, said in refused.items())


def test_the_published_numbers_are_floats_and_refused_by_rule(vectors: Path) -> None:
    lines = (vectors / "jcs" / "es6-numbers-10000.txt").read_text().splitlines()
    assert len(lines) == 10_000
    for line in lines:
        with pytest.raises(NotCanonical):
            canonical_json(float(line.split(",")[1]))
