"""A sealed examination is found in records whether it was copied, stripped of comments or renamed; without holding its text."""

import json
from pathlib import Path

import pytest
from tierproof_curator import decide, ngrams, snapshot
from tierproof_curator.errors import Contaminated, SealedSetRefused
from tierproof_curator.records import LABELS, Record
from tierproof_proofs.keys import Ed25519Signer

PROMPT = "Write a function that gives the next index of a ring of twelve entries and never leaves the ring, please."
CODE = """int next_index(int head, int step) {
    /* one step on, around the ring */
    int moved = head + step; // may be 12
    if (moved >= 12) { moved = moved - 12; }
    return moved;
}"""
STRIPPED = "int next_index(int head, int step) {\n int moved = head + step;\n if (moved >= 12) { moved = moved - 12; }\n return moved;\n}"
RENAMED = STRIPPED.replace("next_index", "foo").replace("head", "a").replace("step", "b").replace("moved", "c")
OTHER = "int clamp(int x) {\n    if (x < 3) { return 3; }\n    if (x > 90) { return 90; }\n    return x;\n}"
KEY = bytes(16)


@pytest.fixture
def sealed(tmp_path: Path) -> ngrams.SealedSet:
    measure = ngrams.Measure()
    path = tmp_path / "exam.sealed"
    path.write_bytes(ngrams.written("exam", [ngrams.sealed_item("q1", (PROMPT, CODE), measure, KEY)], measure, KEY))
    return ngrams.read(path)


def record(prompt: str, completion: str, name: str = "r1") -> Record:
    return Record(
        id=name, kind="embedded-fw-c", label="internal", licence="MIT", source="x", prompt=prompt, completion=completion
    )


@pytest.mark.requirement("S6-contamination")
@pytest.mark.parametrize(
    ("prompt", "completion", "view"),
    [
        ("Something else.", CODE, "tokens"),
        (PROMPT, OTHER, "words"),
        ("Something else.", STRIPPED, "tokens"),
        ("Something else.", RENAMED, "tokens"),
        ("Before it. " + PROMPT + " After it.", "text", "words"),
    ],
)
def test_each_form_of_leak_is_found(sealed: ngrams.SealedSet, prompt: str, completion: str, view: str) -> None:
    found = sealed.overlapping().leak_in(record(prompt, completion))
    assert found is not None
    assert found[0] == "q1"
    assert view in {"words", "tokens"}


def test_what_only_looks_alike_is_no_leak(sealed: ngrams.SealedSet) -> None:
    assert sealed.overlapping().leak_in(record("Write a function that clamps x between 3 and 90.", OTHER)) is None
    assert sealed.overlapping().leak_in(record("next index", RENAMED.replace("12", "16"))) is None


def test_the_file_does_not_hold_the_question(tmp_path: Path, sealed: ngrams.SealedSet) -> None:
    text = (tmp_path / "exam.sealed").read_text()
    assert not any(word in text for word in ("ring", "function", "index", "return", "12)"))
    assert sealed.digest.startswith("sha256:")


@pytest.mark.requirement("S6-contamination")
def test_a_build_with_a_leak_fails_and_names_the_records(tmp_path: Path, sealed: ngrams.SealedSet) -> None:
    records = [record("Clamp x.", OTHER, "fine"), record("A ring.", RENAMED, "leak-1"), record(PROMPT, "x", "leak-2")]
    with pytest.raises(Contaminated) as refused:
        snapshot.build(
            enumerate((each.line() for each in records), 1),
            into=tmp_path / "sets",
            rules=decide.Rules(labels=LABELS, licences=("MIT",)),
            sealed=[sealed],
            signer=Ed25519Signer.from_seed(bytes(32)),
            memory=1 << 20,
        )
    assert [name for name, _, _ in refused.value.found] == ["leak-1", "leak-2"]
    assert list((tmp_path / "sets").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"not json",
        json.dumps({"form": "sealed-ngrams.v9", "name": "x", "key": "", "measure": {}}).encode(),
        json.dumps({"form": "sealed-ngrams.v1", "name": "x", "key": "00", "measure": {"words": 7}}).encode(),
    ],
)
def test_a_sealed_set_that_could_find_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.sealed"
    path.write_bytes(content)
    with pytest.raises(SealedSetRefused):
        ngrams.read(path)


def test_the_form_of_a_sealed_file_names_how_texts_are_taken_apart() -> None:
    """Whoever changes words, tokens or hashes makes these fail, and has to give the form another name."""
    assert ngrams.FORM == "sealed-ngrams.v1"
    measure = ngrams.Measure(words=3, tokens=4, fewest=1, least_structure_percent=25, least_code_percent=25)
    views = ngrams.views_of("int f(int a) { return a + 0x1F; } // twice a", measure, KEY)
    found = {view: min(grams) for view, grams in views.items()}
    assert found == {"words": 0x3C2F2DCF9890A18D, "tokens": 0xBF320D0E5110952}
