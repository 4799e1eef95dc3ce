"""Trust policies as others write them: known logs and witnesses, and the quorum that a checkpoint needs (c2sp.org/tlog-policy)."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from tierproof_proofs.encoding import number_of
from tierproof_proofs.errors import Malformed
from tierproof_proofs.log_key import LOG_ALGORITHMS
from tierproof_proofs.note import ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, VerifierKey, parse_vkey

NOBODY = "none"
WITNESS_ALGORITHMS = {ED25519_COSIGNATURE, MLDSA44_COSIGNATURE}
_BLANK = re.compile(r"[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A log or a witness: its key, the name that the policy gives a witness (no other file knows it), and where it is reached."""

    key: VerifierKey
    name: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Witnesses and groups by name, of which at least `threshold` must have witnessed a checkpoint."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Whom to believe. `quorum` is the name of a witness or a group, `none` when no cosignature is needed.

    Witnesses and groups stand in the order of the file: a group knows only names before it.
    """

    logs: tuple[Party, ...] = ()
    witnesses: tuple[Party, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NOBODY

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a policy file; raises Malformed naming the line."""
        draft = _Draft()
        # Octets above 0x7F are opaque to the specification: surrogates keep them apart, and a key with one is refused.
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        if lines.pop():
            raise Malformed("policy: the last line has no newline")
        for number, line in enumerate(lines, 1):
            try:
                draft.read(line)
            except Malformed as error:
                raise Malformed(f"policy, line {number}: {error.diagnosis()}") from None
        if draft.quorum is None:
            raise Malformed("policy: a quorum line is needed")
        return cls(logs=tuple(draft.logs), witnesses=tuple(draft.witnesses), groups=draft.groups, quorum=draft.quorum)

    def __str__(self) -> str:
        logs = [_line("log", str(log.key), log.url) for log in self.logs]
        witnesses = [_line("witness", each.name, str(each.key), each.url) for each in self.witnesses]
        groups = [_line("group", name, str(each.threshold), *each.members) for name, each in self.groups.items()]
        return "".join((*logs, *witnesses, *groups, _line("quorum", self.quorum)))

    def satisfied_by(self, cosigners: Collection[VerifierKey]) -> bool:
        """Tell whether right cosignatures of these keys are enough. Keys that the policy does not know count for nothing."""
        reached = {NOBODY} | {each.name for each in self.witnesses if each.key in cosigners}
        for name, group in self.groups.items():
            if sum(member in reached for member in group.members) >= group.threshold:
                reached.add(name)
        return self.quorum in reached


def policy_of(
    logs: Sequence[VerifierKey], witnesses: Sequence[VerifierKey], quorum: int, urls: Mapping[str, str] | None = None
) -> Policy:
    """Return the policy that needs `quorum` witnesses, each with any of its keys; `urls` by the keys' name.

    A policy file knows no witness with two keys: each key gets a name of its own, and the keys of one witness are a group of which
    any member is enough. Raises Malformed for a quorum that the witnesses cannot reach.
    """
    by_name: dict[str, list[VerifierKey]] = {}
    for key in witnesses:
        by_name.setdefault(key.name, []).append(key)
    if not 0 <= quorum <= len(by_name):
        raise Malformed(f"policy: a quorum of {quorum} cannot be reached by {len(by_name)} witnesses")
    where = urls or {}
    parties = [Party(key=key, name=key.label, url=where.get(key.name)) for key in witnesses]
    groups = {name: Group(threshold=1, members=tuple(key.label for key in keys)) for name, keys in by_name.items()}
    if quorum:
        groups["quorum"] = Group(threshold=quorum, members=tuple(by_name))
    policy = Policy(
        logs=tuple(Party(key=key) for key in logs),
        witnesses=tuple(parties),
        groups=groups,
        quorum="quorum" if quorum else NOBODY,
    )
    return Policy.parse(str(policy).encode())


class _Draft:
    """A policy as far as its lines have been read."""

    def __init__(self) -> None:
        self.logs: list[Party] = []
        self.witnesses: list[Party] = []
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._names: set[str] = {NOBODY}
        self._members: set[str] = {NOBODY}

    def read(self, line: str) -> None:
        if _CONTROL.search(line):
            raise Malformed("holds control characters")
        text = line.strip(" \t")
        if text and not text.startswith("#"):
            self._say(_BLANK.split(text))

    def _say(self, words: list[str]) -> None:
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                self._log(vkey, *url)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(name, vkey, *url)
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, members)
            case ["quorum", name] if self.quorum is None:
                self.quorum = self._defined(name)
            case ["quorum", _]:
                raise Malformed("a second quorum")
            case [word, *_]:
                raise Malformed(f"no such line, or not the right number of words: {word}")

    def _log(self, vkey: str, url: str | None = None) -> None:
        self.logs.append(Party(key=_key(vkey, LOG_ALGORITHMS, self.logs), url=url))

    def _witness(self, name: str, vkey: str, url: str | None = None) -> None:
        self._define(name)
        self.witnesses.append(Party(name=name, key=_key(vkey, WITNESS_ALGORITHMS, self.witnesses), url=url))

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            self._defined(member)
            if member in self._members:
                raise Malformed(f"{member} is a member twice, or `{NOBODY}`")
            self._members.add(member)
        needed = {"all": len(members), "any": 1}.get(threshold)
        needed = number_of(threshold, "threshold") if needed is None else needed
        if not 1 <= needed <= len(members):
            raise Malformed(f"a threshold of {needed} for {len(members)} members")
        self._define(name)
        self.groups[name] = Group(threshold=needed, members=tuple(members))

    def _define(self, name: str) -> None:
        if name in self._names:
            raise Malformed(f"{name} is defined twice, or `{NOBODY}`")
        self._names.add(name)

    def _defined(self, name: str) -> str:
        if name not in self._names:
            raise Malformed(f"{name} is not defined before this line")
        return name


def _key(vkey: str, algorithms: set[int], known: Sequence[Party]) -> VerifierKey:
    key = parse_vkey(vkey)
    if key.algorithm not in algorithms:
        raise Malformed(f"key {key.label} is of another type than this line needs")
    if any(each.key.public_key == key.public_key for each in known):
        raise Malformed(f"key {key.label} stands there twice")
    return key


def _line(*words: str | None) -> str:
    return " ".join(word for word in words if word is not None) + "\n"
