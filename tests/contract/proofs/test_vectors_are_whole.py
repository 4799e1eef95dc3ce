"""The folder of public vectors is the published one: a lost or changed file must fail, not pass faster."""

from hashlib import sha256
from pathlib import Path


def test_every_listed_file_has_its_digest_and_no_file_is_unlisted(vectors: Path) -> None:
    lines = [line.split("  ", 1) for line in (vectors / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    assert len(listed) == 561
    for name, digest in listed.items():
        assert sha256((vectors / name).read_bytes()).hexdigest() == digest, name
    found = {str(path.relative_to(vectors)) for path in vectors.rglob("*") if path.is_file()}
    assert found - listed.keys() == {"README.md", "SHA256SUMS"}
