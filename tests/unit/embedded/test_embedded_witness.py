"""The witness of a stack: its keys in the trust file, the ledger told where it is, and the two knowing each other."""

import contextlib
from pathlib import Path

import pytest
from tierproof_embedded import doctor, ledger, ports, witness
from tierproof_embedded.authority import establish
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.pins import OPEN, Pins
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import prepare
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.keys import load_key, load_mldsa44_key
from tierproof_proofs.note import ED25519, ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, NoteSigner
from tierproof_proofs.policy import Policy
from tierproof_proofs.trust import Trust
from tierproof_witness.decide import Recorded
from tierproof_witness.logs import read_logs
from tierproof_witness.store import Store


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(6000, 6000 + count)))
    (tmp_path / "fleet").mkdir()
    found = EmbeddedSettings(home=tmp_path / "state", fleet=tmp_path / "fleet", triton_url="t:8001")
    found.layout.prepare()
    return found


def trusted(settings: EmbeddedSettings) -> Trust:
    establish(settings.layout, settings, lambda: Pins(weights=OPEN, tokenizer=OPEN, engine=OPEN))
    return Trust.from_json(settings.layout.trust.read_bytes())


@pytest.mark.requirement("LED-proof")
def test_the_trust_file_asks_for_the_witness_and_keeps_to_it(settings: EmbeddedSettings) -> None:
    trust = trusted(settings)
    layout = settings.layout
    assert [(key.name, key.algorithm) for key in trust.witnesses] == [
        (settings.witness_name, ED25519_COSIGNATURE),
        (settings.witness_name, MLDSA44_COSIGNATURE),
    ]
    assert trust.quorum == 1
    assert [(each.key.algorithm, each.key.public_key) for each in trust.log_keys] == [
        (ED25519, load_key(ledger.log_key(layout)).public_key),
        (MLDSA44_COSIGNATURE, load_mldsa44_key(ledger.log_pq_key(layout)).public_key),
    ]
    assert trusted(settings) == trust


def test_ledger_and_witness_are_told_about_each_other(
    settings: EmbeddedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: True)
    monkeypatch.setenv("TIERPROOF_WITNESS_BODY_SECONDS", "3")
    monkeypatch.setenv("TIERPROOF_WITNESS_STORE_FILE", "/elsewhere")
    monkeypatch.setenv("TIERPROOF_PG_DSN_FILE", "/secret")
    prepared = prepare(settings.model_copy(update={"only": ("evidence-ledger",)}))
    parts = {part.name: part for part in prepared.parts}
    trust = Trust.from_json(settings.layout.trust.read_bytes())
    assert parts["witness"].needs == ()
    assert "witness" in parts["evidence-ledger"].needs

    told = parts["evidence-ledger"].command().environment
    policy = Policy.parse(Path(told["TIERPROOF_EVIDENCE_LEDGER_WITNESS_POLICY"]).read_bytes())
    url = f"http://127.0.0.1:{prepared.endpoints.ports['witness']}"
    assert {(party.key, party.url) for party in policy.witnesses} == {(key, url) for key in trust.witnesses}
    assert all(policy.satisfied_by([key]) for key in trust.witnesses)
    assert not policy.satisfied_by([])
    assert told["TIERPROOF_EVIDENCE_LEDGER_LOG_PQ_KEY_FILE"] == str(ledger.log_pq_key(settings.layout))

    own = parts["witness"].command().environment
    logs = read_logs(Path(own["TIERPROOF_WITNESS_LOGS_FILE"]).read_text(), "logs")
    assert logs == {trust.origin: tuple(each.key for each in trust.log_keys)}
    assert own["TIERPROOF_WITNESS_STORE_FILE"] == str(witness.files(settings.layout).store)
    assert own["TIERPROOF_WITNESS_BODY_SECONDS"] == "3"
    assert "TIERPROOF_PG_DSN_FILE" not in own


def test_the_doctor_says_what_the_witness_remembers(settings: EmbeddedSettings) -> None:
    assert doctor.witness_memory(settings).found == "not started yet"
    trusted(settings)
    assert doctor.witness_memory(settings).found == "has cosigned 0 ledger entries"
    log = NoteSigner(name=settings.log_name, signer=load_key(ledger.log_key(settings.layout)))
    note = sign_checkpoint(Checkpoint(origin=settings.log_name, size=7, root=bytes(32)), log)
    with contextlib.closing(Store(witness.files(settings.layout).store, busy_seconds=1)) as store:
        with store.turn(settings.log_name) as turn:
            turn.record(Recorded(size=7, root=bytes(32), time=1), note)
        assert doctor.witness_memory(settings).found == "has cosigned 7 ledger entries"
    for path in settings.layout.witness.glob("cosigned.sqlite*"):
        path.unlink()
    ill = doctor.witness_memory(settings)
    assert (ill.passed, "retire both keys" in ill.mend) == (False, True)


def test_a_witness_that_lost_its_memory_stops_the_stack_with_words(settings: EmbeddedSettings) -> None:
    trusted(settings)
    witness.files(settings.layout).store.unlink()
    with pytest.raises(StepFailed) as refusal:
        trusted(settings)
    assert "retire both keys" in refusal.value.diagnosis()
