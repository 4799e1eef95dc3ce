"""The stage `heads`: a classifier on a frozen sentence encoder. Each label of the records gets a head of its own.

A sentence's vector is the mean of its tokens' states. A head's units look at each vector, and keep the strongest sign that any
sentence gives (max over the sentences, then ReLU); a linear layer makes scores of them. A share of the records, chosen by their digests,
is kept out and fits one temperature per label (Guo et al., 2017). The encoder runs once; its vectors lie in the job's work folder and are
what a resumed job goes on from.
"""

import hashlib
import json
import math
import random
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from tierproof_trainer.stages import arguments, base, records, sentences
from tierproof_trainer.stages.job import Job, StageFailed, tell
from tierproof_trainer.stages.saving import save_heads

VECTORS = "vectors.safetensors"
ENCODED_TOGETHER = 64
NOTHING = -100  # the class of a record that says nothing of a label: no loss is computed
CALIBRATION_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """A vector per different sentence (sentences, width), and by record which it says, its tokens, and each label's class.

    `names` are the classes by label.
    """

    vectors: Tensor
    said: list[Tensor]
    tokens: list[int]
    classes: dict[str, Tensor]
    names: dict[str, tuple[str, ...]]

    def batch(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return padded vectors (records, sentences, width), and where there are sentences."""
        padded = nn.utils.rnn.pad_sequence([self.vectors[self.said[at]] for at in chosen], batch_first=True)
        lengths = torch.tensor([len(self.said[at]) for at in chosen])
        return padded, torch.arange(padded.shape[1])[None, :] < lengths[:, None]


class Head(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """One label: its units (units, width), and the layer from them to scores (classes); a share of what it hears is dropped out."""

    def __init__(self, classes: int, width: int, shape: dict[str, Any]) -> None:
        super().__init__()
        units = shape["units"]
        self.units = nn.Linear(width, units)
        self.scores = nn.Linear(units, classes)
        self.heard = nn.Dropout(float(shape["dropout"]))

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        """Return scores, shape (records, classes)."""
        signs = self.units(self.heard(vectors)).masked_fill(~there[..., None], -math.inf)
        return self.scores(torch.relu(signs.amax(1)))


def run(job: Job) -> dict[str, Any]:
    """Run the job to its artifact. Raises StageFailed."""
    base.make_deterministic(job.lock["environment"]["threads"])
    found = [record for record in records.lines_of(job.records) if "labels" in record]
    if not found:
        raise StageFailed("no-records", "no record has labels", "build the snapshot with labelled records")
    lessons = _lessons(job, found)
    share = job.lock["heads"]["calibration_percent"]
    kept_out = [at for at, record in enumerate(found) if _place(record["id"]) < share]
    learned = [at for at, record in enumerate(found) if _place(record["id"]) >= share]
    arguments.seed_everything({**job.seeds, "torch": job.seeds["adapter"]})
    width = lessons.vectors.shape[1]
    heads = nn.ModuleDict({label: Head(len(names), width, job.lock["heads"]) for label, names in lessons.names.items()})
    arguments.seed_everything(job.seeds)
    steps = _learn(heads, lessons, learned, job)
    files = save_heads(_tensors(heads, lessons, kept_out), _facts(job, lessons), job)
    return {
        "ended": "completed",
        "steps": steps,
        "tokens": sum(lessons.tokens[at] for at in learned) * job.hyperparameters["epochs"],
        "files": {path.name: base.digest_of(path) for path in files},
        "parameters": sum(p.numel() for p in heads.parameters()),
    }


def _lessons(job: Job, found: list[dict[str, Any]]) -> Lessons:
    labels = sorted({label for record in found for label in record["labels"]})
    names = {
        label: tuple(sorted({record["labels"][label] for record in found if label in record["labels"]}))
        for label in labels
    }
    if lonely := [label for label, classes in names.items() if len(classes) < 2]:  # noqa: PLR2004 - one is no choice
        raise StageFailed("no-records", f"labels.{lonely[0]} is the same in every record", "add records of others")
    classes = {
        label: torch.tensor(
            [names[label].index(r["labels"][label]) if label in r["labels"] else NOTHING for r in found]
        )
        for label in labels
    }
    texts = _pieces(job, [record["text"] for record in found])
    places = {piece: at for at, piece in enumerate(dict.fromkeys(piece for pieces in texts for piece in pieces))}
    return Lessons(
        vectors=_vectors(job, list(places)),
        said=[torch.tensor([places[piece] for piece in pieces]) for pieces in texts],
        tokens=[sum(map(len, pieces)) for pieces in texts],
        classes=classes,
        names=names,
    )


def _pieces(job: Job, texts: list[str]) -> list[list[sentences.Piece]]:
    tokenizer = Tokenizer.from_file(str(job.weights.parent / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [sentences.pieces_of(text, tokenizer, job.hyperparameters["longest_tokens"]) for text in texts]


def _vectors(job: Job, pieces: list[sentences.Piece]) -> Tensor:
    """Return the vector of each sentence (sentences, width), from the work folder where they are there already."""
    kept = job.work / VECTORS
    if not kept.is_file():
        _encode(job, pieces, kept)
    return load_file(kept)["vectors"]


def _encode(job: Job, pieces: list[sentences.Piece], to: Path) -> None:
    folder, expected = job.weights.parent, job.lock["parent"]["weights"]
    if (found := base.digest_of(job.weights)) != expected:
        because = f"parent.weights: the lock names {expected}, the file is {found}"
        raise StageFailed("another-base", because, "lock again")
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    order = sorted(range(len(pieces)), key=lambda at: (len(pieces[at]), at))
    vectors: dict[int, Tensor] = {}
    for first in range(0, len(order), ENCODED_TOGETHER):
        chosen = order[first : first + ENCODED_TOGETHER]
        vectors |= zip(chosen, _means([pieces[at] for at in chosen], encoder), strict=True)
        tell(job.folder, {"stage": "heads", "encoded": len(vectors), "of_sentences": len(pieces)})
    job.work.mkdir(exist_ok=True)
    fresh = to.with_suffix(".new")
    save_file({"vectors": torch.stack([vectors[at] for at in range(len(pieces))])}, fresh)
    fresh.rename(to)


def _means(pieces: list[sentences.Piece], encoder: nn.Module) -> Iterator[Tensor]:
    """Yield the mean state of each sentence's tokens in the last layer (width), in fp32."""
    longest = max(map(len, pieces))
    padded = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in pieces])
    there = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in pieces])
    with torch.no_grad():
        states = encoder(input_ids=padded, attention_mask=there).last_hidden_state
    yield from (states[row, : len(ids)].mean(0) for row, ids in enumerate(pieces))


def _learn(heads: nn.ModuleDict, lessons: Lessons, learned: list[int], job: Job) -> int:
    """Train all heads together with AdamW on a cosine schedule; return the number of steps. Raises StageFailed."""
    asked, chance, began = job.hyperparameters, random.Random(job.seeds["data"]), time.monotonic()  # noqa: S311
    most = asked["epochs"] * (len(learned) // asked["batch"])
    if not most:
        because = f"{len(learned)} records fill no batch of {asked['batch']}"
        raise StageFailed("too-few-records", because, "lower hyperparameters.batch")
    betas = (0.9, float(asked["adam_beta2"]))
    optimiser = torch.optim.AdamW(
        heads.parameters(), lr=float(asked["learning_rate"]), betas=betas, weight_decay=float(asked["weight_decay"])
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, most)
    heads.train()
    step = 0
    for _ in range(asked["epochs"]):
        chance.shuffle(learned)
        for first in range(0, len(learned) - asked["batch"] + 1, asked["batch"]):
            chosen = learned[first : first + asked["batch"]]
            loss = _loss(heads, lessons, chosen)
            optimiser.zero_grad()
            loss.backward()
            norm = float(nn.utils.clip_grad_norm_(heads.parameters(), float(asked["clip"])))
            optimiser.step()
            schedule.step()
            step += 1
            _tell(job, step, most, float(loss), norm, began)
            if step == asked.get("steps"):
                return step
    return step


def _loss(heads: nn.ModuleDict, lessons: Lessons, chosen: list[int]) -> Tensor:
    vectors, there = lessons.batch(chosen)
    losses = [
        nn.functional.cross_entropy(head(vectors, there), lessons.classes[label][chosen], ignore_index=NOTHING)
        for label, head in heads.items()
        if (lessons.classes[label][chosen] != NOTHING).any()
    ]
    return torch.stack(losses).sum()


def _tell(job: Job, step: int, most: int, loss: float, norm: float, began: float) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    told = {"loss": loss, "gradient": norm}
    tell(
        job.folder,
        {
            "stage": "heads",
            "step": step,
            "of": most,
            **{name: value if math.isfinite(value) else str(value) for name, value in told.items()},
            "seconds": round(time.monotonic() - began, 2),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_mib": usage.ru_maxrss // 1024,
        },
    )
    if not all(math.isfinite(value) for value in told.values()):
        because = f"step {step}: loss {loss}, gradient {norm}"
        raise StageFailed("not-a-number", because, "lower the learning rate or mend the records, in a new lock")


def _tensors(heads: nn.ModuleDict, lessons: Lessons, kept_out: list[int]) -> dict[str, Tensor]:
    """Return each head's tensors, and the temperature that makes the kept-out records likeliest."""
    heads.eval()
    found: dict[str, Tensor] = {}
    for label, head in heads.items():
        with torch.no_grad():
            scores = torch.cat([head(*lessons.batch([at])) for at in kept_out])
        temperature = _temperature(scores, lessons.classes[label][kept_out])
        found |= {
            f"{label}.units": head.units.weight.detach(),
            f"{label}.units_bias": head.units.bias.detach(),
            f"{label}.weight": head.scores.weight.detach(),
            f"{label}.bias": head.scores.bias.detach(),
            f"{label}.temperature": temperature,
        }
    return found


def _temperature(scores: Tensor, classes: Tensor) -> Tensor:
    log = torch.zeros(1, requires_grad=True)
    known = classes != NOTHING
    optimiser = torch.optim.LBFGS([log], max_iter=CALIBRATION_STEPS)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(scores[known] / log.exp(), classes[known])
        loss.backward()
        return loss

    optimiser.step(closure)
    return log.detach().exp()


def _facts(job: Job, lessons: Lessons) -> dict[str, str]:
    return {
        "labels": json.dumps({label: list(names) for label, names in lessons.names.items()}, sort_keys=True),
        "encoder": job.lock["parent"]["weights"],
        "longest_tokens": str(job.hyperparameters["longest_tokens"]),
        "sentence_ends": sentences.ENDS,
    }


def _place(identity: str) -> int:
    """Return a number from 0 to 99 that a record's id leads to."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) % 100
