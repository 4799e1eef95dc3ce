"""The published vectors of RFC 8785: the same bytes where the value is allowed, refusal where our subset excludes it.

Clause: our canonical form is RFC 8785 narrowed (`tierproof_contracts.canonical`) to ASCII keys, integers within 2^53 and no floats.
- section 3.2.2.3 serialises numbers as ECMAScript does: a float is refused, so that no verifier needs a printer of shortest decimals.
  All 10,000 published numbers are IEEE-754 doubles, and `structures` and `values` hold some.
- section 3.2.3 sorts keys by UTF-16 units: with ASCII keys every language's own order is that order. `french` and `weird` have others.
The independent implementation, which the suites compare with elsewhere, must agree with the published bytes on all of them.
"""

import json
import struct
from pathlib import Path

import pytest
import rfc8785
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.errors import NotCanonical

pytestmark = pytest.mark.requirement("LED-proof")
REFUSED = {"french": "keys", "structures": "float", "values": "float", "weird": "keys"}


def test_the_published_pairs(vectors: Path) -> None:
    inputs = {path.stem: path for path in (vectors / "jcs" / "input").glob("*.json")}
    assert len(inputs) == 6
    refused = {}
    for name, path in inputs.items():
        value, published = json.loads(path.read_bytes()), (vectors / "jcs" / "output" / path.name).read_bytes()
        assert bytes.fromhex((vectors / "jcs" / "outhex" / f"{name}.txt").read_text()) == published
        assert rfc8785.dumps(value) == rfc8785.dumps(json.loads(published)) == published
        try:
            found = canonical_json(value)
        except NotCanonical as refusal:
            refused[name] = str(refusal)
        else:
            assert found == canonical_json(json.loads(published)) == published
    assert refused.keys() == REFUSED.keys()
    assert all(REFUSED[name] in said for name, said in refused.items())


def test_the_published_numbers_are_floats_and_refused_by_rule(vectors: Path) -> None:
    lines = (vectors / "jcs" / "es6-numbers-10000.txt").read_text().splitlines()
    assert len(lines) == 10_000
    for line in lines:
        bits, text = line.split(",")
        (number,) = struct.unpack(">d", bytes.fromhex(bits.zfill(16)))
        assert rfc8785.dumps(number) == text.encode()
        with pytest.raises(NotCanonical):
            canonical_json(number)
