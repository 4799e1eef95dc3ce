"""Files of the state folder: ports, keys, logs, the broker's configuration."""

import json
import stat
from pathlib import Path

import nkeys
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_contracts import topology
from tierproof_embedded import keys, ports
from tierproof_embedded.errors import NoUnprivilegedWay, StateUnreadable
from tierproof_embedded.layout import Layout
from tierproof_embedded.nats_server import AllowedUser, Broker, allowed, config_text
from tierproof_embedded.postgres import Cluster, Identity, choose_identity, command
from tierproof_embedded.process import rotate, tail_of

CONFIG = """\
# Generated from the topology; changes here are lost at the next start.
server_name: "tierproof"
listen: "127.0.0.1:4222"
http: "127.0.0.1:8222"
max_payload: 8388608
jetstream {
  store_dir: "/state/nats/store"
  max_memory_store: 268435456
  max_file_store: 8589934592
  sync_interval: always
}
authorization {
  users = [
    # verifier
    { nkey: UABC, permissions {
        publish { allow: ["tierproof.verification.settled.v1.>"] }
        subscribe { allow: ["_INBOX_verifier.>"] }
        allow_responses: false } }
  ]
}
"""


def broker(*, folder: Path = Path("/state/nats"), tester: str | None = None) -> Broker:
    user = AllowedUser(
        name="verifier",
        public_key="UABC",
        publish=("tierproof.verification.settled.v1.>",),
        subscribe=("_INBOX_verifier.>",),
    )
    return Broker(folder=folder, port=4222, monitor_port=8222, users=(user,), tester=tester)


def test_the_broker_configuration_is_this_text() -> None:
    assert config_text(broker()) == CONFIG


def test_only_a_test_broker_has_a_tester() -> None:
    assert "tester" not in config_text(broker())
    assert '{ user: "tester", password: "secret" }' in config_text(broker(tester="secret"))


def test_a_folder_with_a_quote_cannot_leave_its_string() -> None:
    assert 'store_dir: "/a\\"b/store"' in config_text(broker(folder=Path('/a"b')))


@pytest.mark.requirement("BUS-contracts")
def test_only_who_answers_questions_may_reply() -> None:
    replying = [user.name for user in (*topology.SERVICES, *topology.PEOPLE) if allowed(user, "U").answers]
    assert replying == ["evidence-ledger"]


def test_ports_are_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state.json"
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(5000, 5000 + count)))
    assert ports.keep(state, ["nats", "postgres"]) == {"nats": 5000, "postgres": 5001}
    assert ports.keep(state, ["postgres", "nats"]) == {"nats": 5000, "postgres": 5001}
    assert ports.keep(state, ["nats", "triton"]) == {"nats": 5000, "triton": 5002}
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"ports": {"nats": "x"}}', '{"ports": 4}'])
def test_a_damaged_state_file_is_named(tmp_path: Path, damage: str) -> None:
    state = tmp_path / "state.json"
    state.write_text(damage)
    with pytest.raises(StateUnreadable, match=r"state\.json is damaged; delete it"):
        ports.keep(state, ["nats"])


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    ports.write_whole(tmp_path / "f", "new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@given(st.binary(min_size=32, max_size=32))
def test_public_keys_are_those_of_the_reference_library(raw: bytes) -> None:
    seed = keys.user_seed(raw)
    assert keys.public_key_of(seed) == nkeys.from_seed(bytearray(seed.encode())).public_key.decode()


def test_keys_are_created_once_and_are_private(tmp_path: Path) -> None:
    first = keys.user_keys(tmp_path, ["router", "verifier"])
    assert keys.user_keys(tmp_path, ["router", "verifier"]) == first
    assert first["router"] != first["verifier"]
    assert stat.S_IMODE(keys.seed_file(tmp_path, "router").stat().st_mode) == 0o600
    assert keys.password(tmp_path, "postgres") == keys.password(tmp_path, "postgres")


def test_private_folders_are_closed_to_others(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path / "state")
    layout.prepare()
    assert stat.S_IMODE(layout.keys.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("uid", "namespaces", "nobody", "identity"),
    [
        (1000, False, False, Identity.OURSELVES),
        (1000, True, True, Identity.OURSELVES),
        (0, True, True, Identity.NAMESPACED),
        (0, False, True, Identity.NOBODY),
    ],
)
def test_the_database_never_runs_as_root(uid: int, *, namespaces: bool, nobody: bool, identity: Identity) -> None:
    assert choose_identity(uid, namespaces=namespaces, nobody=nobody) is identity


def test_root_without_another_identity_is_told_what_to_do() -> None:
    with pytest.raises(NoUnprivilegedWay, match="TIERPROOF_PG_DSN"):
        choose_identity(0, namespaces=False, nobody=False)


def test_the_database_listens_on_the_loopback_address_only() -> None:
    cluster = Cluster(folder=Path("/d"), port=5555, password="p", identity=Identity.OURSELVES)
    argv = command(cluster).argv
    assert "listen_addresses=127.0.0.1" in argv
    assert "unix_socket_directories=" in argv
    assert "p" not in argv[1:2]
    assert "password" not in repr(cluster)


def test_a_log_that_grew_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    for turn in range(4):
        log.write_text(f"{turn}" * 20)
        assert rotate(log, largest=10, kept=2)
    assert log.read_text() == ""
    assert [log.with_name(f"nats.log.{n}").read_text() for n in (1, 2)] == ["3" * 20, "2" * 20]
    assert not log.with_name("nats.log.3").exists()


def test_a_small_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_text("short")
    assert not rotate(log, largest=10, kept=2)
    assert not rotate(tmp_path / "none.log", largest=10, kept=2)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n".join(str(n) for n in range(100)))
    assert tail_of(tmp_path / "log", 3) == "97\n98\n99"
    assert tail_of(tmp_path / "none") == ""


def test_a_whole_state_is_json_that_people_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "free_ports", lambda count: list(range(7000, 7000 + count)))
    ports.keep(tmp_path / "state.json", ["nats"])
    assert json.loads((tmp_path / "state.json").read_text()) == {"ports": {"nats": 7000}}
