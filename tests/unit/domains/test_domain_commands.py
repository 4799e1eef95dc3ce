"""`python -m tierproof_domains`: what it writes can be read, what is wrong with a file is said."""

import dataclasses
from pathlib import Path

import pytest
from tierproof_domains.__main__ import DOMAINS, domain_of, main
from tierproof_domains.embedded_fw_c import shape_of
from tierproof_domains.item import SPLITS, Item, Split, item_from

pytestmark = pytest.mark.requirement("S5-domains")


def written(folder: Path, domain: str, split: Split, most: int = 12) -> list[Item]:
    file = folder / f"{split}.jsonl"
    assert main(["write", domain, "--split", split, "--items", str(most), "--to", str(file)]) == 0
    assert list(folder.iterdir()) == [file], "nothing unfinished stays behind"
    items = [item_from(line) for line in file.read_text(encoding="utf-8").splitlines()]
    file.unlink()
    return items


@pytest.mark.parametrize("domain", sorted(DOMAINS))
@pytest.mark.parametrize("split", SPLITS)
def test_a_file_holds_the_items_of_the_generator(tmp_path: Path, domain: str, split: Split) -> None:
    items = written(tmp_path, domain, split)
    assert items == list(domain_of(domain).items(split, seed=1, most=12))
    assert {item.kind for item in items} == {domain}


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_a_description_names_families_and_gives_an_example(domain: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", domain]) == 0
    said = capsys.readouterr().out
    item = next(domain_of(domain).items("train", seed=1, most=1))
    assert item.family in said
    assert item.answer in said
    assert "sealed, unseen phrasing: 150" in said


@pytest.mark.parametrize("domain", sorted(set(DOMAINS) & {"dicom-adjacent", "reg-doc-drafting"}))
def test_a_wrong_item_of_a_file_is_named(tmp_path: Path, domain: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = list(domain_of(domain).items("train", seed=1, most=5))
    wrong = dataclasses.replace(good[3], id="", answer=good[3].rejected[0])
    file = tmp_path / "some.jsonl"
    file.write_text("".join(f"{item.as_line()}\n" for item in good), encoding="utf-8")
    assert main(["check", domain, str(file)]) == 0
    file.write_text("".join(f"{item.as_line()}\n" for item in [*good, wrong]), encoding="utf-8")
    assert main(["check", domain, str(file)]) == 1
    assert wrong.id in capsys.readouterr().out


def test_one_family_alone_and_one_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "traces.jsonl"
    asked = ["write", "reg-doc-drafting", "--split", "sealed", "--items", "9", "--to", str(file)]
    assert main([*asked, "--family", "trace"]) == 0
    items = [item_from(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [item.family for item in items] == ["trace"] * 9
    assert main([*asked, "--family", "poem"]) == 1
    assert "0 items" in capsys.readouterr().out


def test_a_file_that_cannot_be_finished_does_not_appear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none" / "train.jsonl"
    assert main(["write", "embedded-fw-c", "--split", "train", "--items", "1", "--to", str(file)]) == 2
    assert "No such file or directory" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, "poetry", "[]", "{}", "\xff"])
def test_a_file_that_holds_no_items_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "items.jsonl"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    written = ["--split", "sealed", "--items", "1", "--to", str(tmp_path / "x"), "--apart-from", str(file)]
    assert main(["check", "embedded-fw-c", str(file)]) == 2
    assert main(["write", "embedded-fw-c", *written]) == 2
    assert capsys.readouterr().err.count(str(file)) == 2
    with pytest.raises(SystemExit):
        main(["write", "embedded-fw-c", "--split", "train", "--items", "-4", "--to", "x"])


def test_an_unknown_domain_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["describe", "poetry"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.requirement("A2")
def test_sealed_items_apart_from_a_file_are_those_that_renaming_cannot_make_from_it(tmp_path: Path) -> None:
    learned = tmp_path / "train.jsonl"
    sealed = tmp_path / "sealed.jsonl"
    assert main(["write", "embedded-fw-c", "--split", "train", "--items", "490", "--to", str(learned)]) == 0
    asked = ["write", "embedded-fw-c", "--split", "sealed", "--items", "20", "--to", str(sealed)]
    assert main([*asked, "--apart-from", str(learned)]) == 0
    known, apart = ([shape_of(item_from(line)) for line in file.read_text().splitlines()] for file in (learned, sealed))
    assert len(apart) == 20
    assert not set(known) & set(apart)
    assert main(asked) == 0
    assert set(known) & {shape_of(item_from(line)) for line in sealed.read_text().splitlines()}, "else it did nothing"
    phrasings = [item.phrasing for item in domain_of("embedded-fw-c").items("sealed", seed=1, most=20)]
    assert phrasings.count("seen") == phrasings.count("unseen")


def test_a_shape_has_no_names_but_keeps_the_rest() -> None:
    item = next(domain_of("embedded-fw-c").items("sealed", seed=1, most=1))
    renamed = dataclasses.replace(
        item, id="", inputs=dict(item.inputs) | {"signature": item.inputs["signature"].replace('"cr"', '"word"')},
        answer=item.answer.replace("motor_eval", "pump_set").replace("cr", "word"),
    )  # fmt: skip
    assert shape_of(item) == shape_of(renamed) == "uint8_t f(uint8_t p0) {\n    return p0 | (1u << 3);\n}"
    assert shape_of(dataclasses.replace(item, id="", answer=item.answer.replace("3", "4"))) != shape_of(item)
