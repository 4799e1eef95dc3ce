"""The time-stamp authority of a stack: its own, or somebody else's; the trust file holds the certificate that counts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate
from tierproof_embedded import ports, tsa
from tierproof_embedded.authority import establish
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.pins import OPEN, Pins
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import prepare
from tierproof_proofs.trust import Trust
from tierproof_tsa.identity import Making, load_or_create


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(6000, 6000 + count)))
    (tmp_path / "fleet").mkdir()
    found = EmbeddedSettings(home=tmp_path / "state", fleet=tmp_path / "fleet", triton_url="t:8001")
    found.layout.prepare()
    return found


def trusted(settings: EmbeddedSettings) -> tuple[str, ...]:
    establish(settings.layout, settings, lambda: Pins(weights=OPEN, tokenizer=OPEN, engine=OPEN))
    return Trust.from_json(settings.layout.trust.read_bytes()).time_stamping


@pytest.mark.requirement("LED-proof")
def test_the_trust_file_names_the_own_authority_and_keeps_to_it(settings: EmbeddedSettings) -> None:
    [first] = trusted(settings)
    assert load_pem_x509_certificate(first.encode()).issuer
    assert trusted(settings) == (first,)
    assert (settings.layout.keys / "tsa.pem").read_text() == first


def test_the_ledger_is_told_where_and_whose(settings: EmbeddedSettings) -> None:
    prepared = prepare(settings)
    ledger = next(part for part in prepared.parts if part.name == "evidence-ledger").command().environment
    assert ledger["TIERPROOF_EVIDENCE_LEDGER_TSA_URL"] == f"http://127.0.0.1:{prepared.endpoints.ports['tsa']}/"
    assert ledger["TIERPROOF_EVIDENCE_LEDGER_TSA_CERTIFICATES"] == str(settings.layout.keys / "tsa.pem")


def test_the_part_needs_nobody_and_gets_its_own_files(
    settings: EmbeddedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: True)
    monkeypatch.setenv("TIERPROOF_TSA_POLICY", "2.25.1")
    monkeypatch.setenv("TIERPROOF_TSA_KEY_FILE", "/elsewhere")
    monkeypatch.setenv("TIERPROOF_PG_DSN_FILE", "/secret")
    [part] = prepare(settings.model_copy(update={"only": ("tsa",)})).parts
    environment = part.command().environment
    assert (part.name, part.needs) == ("tsa", ())
    assert environment["TIERPROOF_TSA_POLICY"] == "2.25.1"
    assert environment["TIERPROOF_TSA_KEY_FILE"] == str(settings.layout.keys / "tsa.key.pem")
    assert "TIERPROOF_PG_DSN_FILE" not in environment


def test_somebody_else_s_authority_takes_the_place_of_the_own(settings: EmbeddedSettings, tmp_path: Path) -> None:
    making = Making(name="somebody", days=9, at=datetime(2026, 3, 1, tzinfo=UTC))
    load_or_create(tmp_path / "theirs.key", tmp_path / "theirs.pem", making)
    theirs = settings.model_copy(
        update={"tsa_url": "https://tsa.example/", "tsa_certificates": tmp_path / "theirs.pem"}
    )
    prepared = prepare(theirs)
    assert "tsa" not in {part.name for part in prepared.parts}
    assert Trust.from_json(settings.layout.trust.read_bytes()).time_stamping == ((tmp_path / "theirs.pem").read_text(),)
    ledger = next(part for part in prepared.parts if part.name == "evidence-ledger").command().environment
    assert ledger["TIERPROOF_EVIDENCE_LEDGER_TSA_URL"] == "https://tsa.example/"
    assert ledger["TIERPROOF_EVIDENCE_LEDGER_TSA_CERTIFICATES"] == str(tmp_path / "theirs.pem")
    assert not (settings.layout.keys / "tsa.pem").exists()


@pytest.mark.parametrize("half", [{"tsa_url": "https://tsa.example/"}, {"tsa_certificates": Path("theirs.pem")}])
def test_half_an_authority_is_refused(settings: EmbeddedSettings, half: dict[str, object]) -> None:
    with pytest.raises(StepFailed, match="set together"):
        tsa.certificates(settings.layout, settings.model_copy(update=half))


def test_certificates_that_cannot_be_read_are_named(settings: EmbeddedSettings, tmp_path: Path) -> None:
    update = {"tsa_url": "https://tsa.example/", "tsa_certificates": tmp_path / "theirs.pem"}
    for content in (None, "nothing"):
        if content is not None:
            (tmp_path / "theirs.pem").write_text(content)
        with pytest.raises(StepFailed, match=r"theirs\.pem"):
            tsa.certificates(settings.layout, settings.model_copy(update=update))


def test_a_lost_key_is_said_before_anything_starts(settings: EmbeddedSettings) -> None:
    tsa.certificates(settings.layout, settings)
    (settings.layout.keys / "tsa.key.pem").unlink()
    with pytest.raises(StepFailed, match="restore the key"):
        tsa.certificates(settings.layout, settings)
