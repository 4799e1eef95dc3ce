"""What the server takes for a sentence is what the trainer took for one, and no more of a request is read than the heads say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openvino
import pytest
from tierproof_model_server import encoder
from tierproof_model_server.encoder import Encoder
from tierproof_model_server.encoder_files import VOCABULARY, encoder_folder
from tierproof_trainer.stages.sentences import ENDS, pieces_of
from tokenizers import Tokenizer

TEXTS = (
    "One sentence",
    "Two of them. Here is the second!",
    "Ticket: uint8_t f(void);\n\n  does nothing? \n",
    "version 1.2 of a.b is no end.But this one is: here",
    "   \n",
    "word " * 300,
    "A short one. " + "word " * 300 + ". Not read any more.",
    "ends in room for two. " * 3,
)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """Return an encoder whose graph says each token's id."""

    def compiled(*_: object) -> object:
        return lambda given: [np.repeat(given[0][..., None].astype(np.float32), 2, axis=2)]

    monkeypatch.setattr(encoder, "_graph", lambda *_: None)
    monkeypatch.setattr(openvino, "Core", lambda: SimpleNamespace(compile_model=compiled))
    return Encoder(encoder_folder(), threads=1, longest_tokens=40, sentence_ends=ENDS)


def tokenizer(folder: Path) -> Tokenizer:
    found = Tokenizer.from_file(str(folder / VOCABULARY))
    found.no_truncation()
    found.no_padding()
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_server_and_trainer_take_the_same_sentences(reader: Encoder, text: str) -> None:
    pieces = [tuple(piece) for piece in reader.pieces(text)]
    assert pieces == pieces_of(text, tokenizer(encoder_folder()), 40)
    assert pieces
    assert reader.length(text) == sum(map(len, pieces)) <= 40
    assert len({piece[0] for piece in pieces}) == len({piece[-1] for piece in pieces}) == 1, "each has both its marks"


def test_a_sentence_is_the_mean_of_its_own_tokens(reader: Encoder) -> None:
    one, other = (reader.vectors(text) for text in ("Two of them.", "Here is the second!"))
    both = reader.vectors("Two of them. Here is the second!")
    assert both.shape == (2, 2)
    assert np.array_equal(both, np.concatenate([one, other]))
    assert both[0] == pytest.approx(np.mean(reader.pieces("Two of them.")[0]))
