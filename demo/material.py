"""Real text to work with: dialogues in many languages, and documents with their embeddings.

The dialogues are those of PyPI's `chatterbot-corpus`, the documents the standard library's own help topics, and the
embeddings come from `wordllama`, whose weights lie inside its package: nothing is downloaded.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics

import chatterbot_corpus  # type: ignore[import-untyped]
import wordllama  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]
from wordllama import WordLlama

from chatstore.models import Embedding

_EMBEDDED_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What two people said in turns.

    Attributes:
        language: In which language.
        subject: What about.
        turns: What was said; the first speaker begins.
    """

    language: str
    subject: str
    turns: tuple[str, ...]

    @property
    def exchanges(self) -> list[tuple[str, str]]:
        """Each question with its answer."""
        return list(pairwise(self.turns))[::2]


@functools.cache
def dialogues() -> tuple[Dialogue, ...]:
    """Return all dialogues of the corpus, one for each of its files, in a fixed order."""
    folder = Path(chatterbot_corpus.__file__).parent / "data"
    return tuple(
        Dialogue(file.parent.name, file.stem.replace("_", " "), tuple(_turns(file)))
        for file in sorted(folder.glob("*/*.yml"))
    )


def _turns(file: Path) -> list[str]:
    content = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    # Half of the corpus are pairs; what has a question too many would turn all later questions into answers.
    return [turn for said in content["conversations"] for turn in said[: len(said) // 2 * 2]]


def texts() -> dict[str, str]:
    """Return the help topics of Python, by their names."""
    return topics


def load() -> None:
    """Load what is loaded once, so that no user waits for it."""
    dialogues()
    embedding_of("any text")


@functools.cache
def _model() -> WordLlama:
    return WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


@functools.lru_cache(maxsize=1000)
def embedding_of(text: str) -> Embedding:
    """Return the embedding of a text's beginning, which is as much as the demo's app embeds of a document."""
    return Embedding.of(_model().embed([text[:_EMBEDDED_CHARACTERS]], norm=True)[0])


async def embedder(batch: Sequence[str]) -> list[Embedding]:
    """Embed texts for the app: this is the function that is given to chatstore."""
    return [embedding_of(text) for text in batch]
