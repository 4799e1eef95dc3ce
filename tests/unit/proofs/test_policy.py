"""c2sp.org/tlog-policy: each rule of the specification's text as a case."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.errors import Malformed
from tierproof_proofs.keys import Ed25519Signer, MLDSA44Signer
from tierproof_proofs.note import NoteSigner, VerifierKey
from tierproof_proofs.policy import Group, Policy, policy_of

pytestmark = pytest.mark.requirement("LED-proof")
LOG = NoteSigner(name="log.example", signer=Ed25519Signer.from_seed(b"l" * 32)).verifier_key


def _witness(name: str) -> VerifierKey:
    return Cosigner(name=name, signer=Ed25519Signer.from_seed(name.encode().ljust(32, b"."))).verifier_key


KEYS = {name: _witness(name) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
WITNESSES = "".join(f"witness {name} {key}\n" for name, key in KEYS.items())
# The example of the specification, its elided keys filled.
EXAMPLE = f"""log {LOG}

witness X1 {KEYS["X1"]}
witness X2 {KEYS["X2"]}
witness X3 {KEYS["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {KEYS["Y1"]}
witness Y2 {KEYS["Y2"]}
witness Y3 {KEYS["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_specifications_example_needs_two_of_x_and_one_of_y() -> None:
    policy = Policy.parse(EXAMPLE.encode())
    assert [party.key for party in policy.logs] == [LOG]
    for count in range(7):
        for chosen in combinations(KEYS, count):
            enough = sum(name[0] == "X" for name in chosen) >= 2 and any(name[0] == "Y" for name in chosen)
            assert policy.satisfied_by({KEYS[name] for name in chosen}) == enough, chosen


def test_what_is_written_is_read_again() -> None:
    policy = Policy.parse(EXAMPLE.encode())
    assert Policy.parse(str(policy).encode()) == policy


@pytest.mark.parametrize(
    "text",
    [
        "quorum none\n",
        "\t quorum \t none  \n",
        "# a comment\n   # another\n\n \t\nquorum none\n",
        f"log {LOG} https://log.example/\nquorum none\n",
        f"{WITNESSES}quorum X1\n",
        f"witness X1 {KEYS['X1']} https://w.example/ \nquorum X1\n",
        f"{WITNESSES}group 2 2 X1 X2\nquorum 2\n",
        f"{WITNESSES}group any any X1\nquorum any\n",
    ],
)
def test_allowed(text: str) -> None:
    Policy.parse(text.encode())


def test_a_quorum_of_none_is_met_by_nobody() -> None:
    assert Policy.parse(f"{WITNESSES}quorum none\n".encode()).satisfied_by([])


def test_names_are_opaque_octets() -> None:
    kelvin, broken = "\N{KELVIN SIGN}".encode(), b"\xff\xfe"
    text = b"".join(
        b"witness %b %b\n" % (name, str(key).encode())
        for name, key in zip((b"K", kelvin, broken), KEYS.values(), strict=False)
    )
    policy = Policy.parse(text + b"group g 3 K " + kelvin + b" " + broken + b"\nquorum g\n")
    assert policy.satisfied_by([KEYS["X1"], KEYS["X2"], KEYS["X3"]])
    assert not policy.satisfied_by([KEYS["X1"], KEYS["X2"]])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "quorum line is needed"),
        ("# nothing\n", "quorum line is needed"),
        ("quorum none", "no newline"),
        ("quorum none\nquorum none\n", "second quorum"),
        ("quorum X1\n" + WITNESSES, "not defined before"),
        ("quorum none extra\n", "number of words"),
        ("Quorum none\n", "number of words"),
        ("quorum\fnone\n", "control"),
        ("quorum none\r\n", "control"),
        (f"log {LOG}\nlog {LOG}\nquorum none\n", "twice"),
        (f"log {KEYS['X1']}\nquorum none\n", "type"),
        (f"witness l {LOG}\nquorum none\n", "type"),
        ("log x\nquorum none\n", "verifier key"),
        (f"log {LOG} https://a https://b\nquorum none\n", "number of words"),
        (f"{WITNESSES}witness X1 {_witness('Z')}\nquorum none\n", "defined twice"),
        (f"{WITNESSES}witness Z {KEYS['X1']}\nquorum none\n", "twice"),
        (f"witness none {KEYS['X1']}\nquorum none\n", "defined twice"),
        (f"{WITNESSES}group X1 any X2\nquorum none\n", "defined twice"),
        (f"{WITNESSES}group none any X2\nquorum none\n", "defined twice"),
        (f"{WITNESSES}group g any\nquorum none\n", "number of words"),
        (f"{WITNESSES}group g 0 X1\nquorum none\n", "threshold of 0"),
        (f"{WITNESSES}group g 3 X1 X2\nquorum none\n", "threshold of 3"),
        (f"{WITNESSES}group g 01 X1 X2\nquorum none\n", "decimal"),
        (f"{WITNESSES}group g -1 X1 X2\nquorum none\n", "decimal"),
        (f"{WITNESSES}group g some X1 X2\nquorum none\n", "decimal"),
        (f"{WITNESSES}group g any none\nquorum none\n", "`none`"),
        (f"{WITNESSES}group g any g\nquorum none\n", "not defined before"),
        (f"{WITNESSES}group g any h\ngroup h any X1\nquorum none\n", "not defined before"),
        (f"{WITNESSES}group g any X1 X1\nquorum none\n", "member twice"),
        (f"{WITNESSES}group g any X1\ngroup h any X1\nquorum none\n", "member twice"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        Policy.parse(text.encode())


def test_a_witness_with_two_keys_counts_once() -> None:
    second = Cosigner(name="X1", signer=MLDSA44Signer.from_seed(bytes(32))).verifier_key
    policy = policy_of([LOG], [KEYS["X1"], second, KEYS["X2"]], 2, {"X1": "http://x1.example/"})
    assert not policy.satisfied_by([KEYS["X1"], second])
    assert policy.satisfied_by([second, KEYS["X2"]])
    assert [party.url for party in policy.witnesses] == ["http://x1.example/", "http://x1.example/", None]
    with pytest.raises(Malformed, match="cannot be reached"):
        policy_of([LOG], [KEYS["X1"], second], 2)


def test_a_group_is_met_from_its_threshold_on() -> None:
    members = tuple(KEYS)
    for threshold in range(1, 7):
        text = f"{WITNESSES}group g {threshold} {' '.join(members)}\nquorum g\n"
        policy = Policy.parse(text.encode())
        assert policy.groups == {"g": Group(threshold=threshold, members=members)}
        for count in range(7):
            assert policy.satisfied_by(list(KEYS.values())[:count]) == (count >= threshold)


@given(st.sets(st.sampled_from(sorted(KEYS))), st.sampled_from(sorted(KEYS)))
def test_one_more_cosigner_never_breaks_a_quorum(cosigners: set[str], more: str) -> None:
    policy = Policy.parse(EXAMPLE.encode())
    if policy.satisfied_by([KEYS[name] for name in cosigners]):
        assert policy.satisfied_by([KEYS[name] for name in cosigners | {more}])


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_by_name(content: bytes) -> None:
    try:
        Policy.parse(content)
    except Malformed:
        return
    assert b"quorum" in content
