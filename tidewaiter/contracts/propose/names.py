"""What a column name says: its words as concepts of the customs trade, and how near that is to a field.

The vocabulary is `vocabulary.yaml`; what the values of a column say belongs to `content`.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_NEAR_WORD = 0.84  # of difflib's ratio: one letter more, less or other in a word of six
_PATH = re.compile(r".*/|\S+\.(?=\S+$)")
_SHORTEST_STEM = 3
_WEAK_WEIGHT = 0.5
_GUESSED_WORD = 0.9  # a word recognised by its letters counts so much of one that is listed


@dataclass(frozen=True)
class _Word:
    """One word of a name: the concept it spells, and how surely."""

    concept: str
    certainty: float


@cache
def vocabulary() -> dict[str, Any]:
    """Return the vocabulary as it is written."""
    found: dict[str, Any] = yaml.safe_load(
        files(__package__).joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    )
    return found


def fold(text: str) -> str:
    """Return a text in lower case without accents, its words apart: `FechaReg_DÚA` is `fecha reg dua`."""
    bare = "".join(
        character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character)
    )
    return _NO_WORD.sub(" ", _CAMEL.sub(" ", bare).lower()).strip()


def similarity(name: str, other: str) -> float:
    """Return how alike two column names are, from 0 to 1, by their words and by their letters."""
    by_words = _agreement(_concepts(name), _concepts(other))
    by_letters = difflib.SequenceMatcher(None, fold(name), fold(other)).ratio()
    return max(by_words, by_letters)


def field_scores(name: str, dataset: str) -> dict[str, float]:
    """Return for each canonical field of a dataset how well the name spells it, from 0 to 1."""
    scores = {
        field: max(_path_agreement(name, _phrase(phrase)) for phrase in phrases)
        for field, phrases in vocabulary()["fields"].get(dataset, {}).items()
    }
    # A field of this very name is meant, whatever its words say.
    return scores | {field: 1.0 for field in scores if fold(field) == fold(name)}


def _path_agreement(name: str, wanted: tuple[_Word, ...]) -> float:
    """Return how well a name, or the path of a nested value, agrees: the end of a path says more of it."""
    whole, end = _agreement(_concepts(name), wanted), _PATH.sub("", name)
    return whole if end == name else max(whole, (whole + _agreement(_concepts(end), wanted)) / 2)


@cache
def _concepts(name: str) -> tuple[_Word, ...]:
    ignored = set(vocabulary()["ignored"])
    words = (_word(word) for word in fold(name).split() if word not in ignored)
    return tuple(word for word in words if word is not None)


def spelt_concepts(name: str) -> set[str]:
    """Return the concepts that the words of a name spell."""
    return {word.concept for word in _concepts(name)}


@cache
def _phrase(phrase: str) -> tuple[_Word, ...]:
    return tuple(_Word(concept, 1.0) for concept in phrase.split())


@cache
def _spellings() -> dict[str, str]:
    return {
        spelling: concept for concept, spellings in vocabulary()["words"].items() for spelling in spellings
    }


@cache
def _word(word: str) -> _Word | None:
    known = _spellings()
    if word in known:
        return _Word(known[word], 1.0)
    stem = word.rstrip("0123456789")
    if stem in known and len(stem) >= _SHORTEST_STEM:
        return _Word(known[stem], _GUESSED_WORD)
    if len(word) >= _SHORTEST_STEM:
        # A short form: FACT for factura. The longer the stem that is left, the surer.
        starting = [spelling for spelling in known if spelling.startswith(word)]
        if len({known[spelling] for spelling in starting}) == 1:
            return _Word(known[starting[0]], _GUESSED_WORD)
    near = difflib.get_close_matches(word, known, n=1, cutoff=_NEAR_WORD)
    if near and len(word) > _SHORTEST_STEM:
        return _Word(known[near[0]], _GUESSED_WORD)
    return None if word.isdigit() else _Word(f"?{word}", 1.0)


def _agreement(found: tuple[_Word, ...], wanted: tuple[_Word, ...]) -> float:
    """Return the F-measure of two sets of concepts, weighted by what each says."""
    if not found or not wanted:
        return 0.0
    certainty = {word.concept: word.certainty for word in found}
    named = {word.concept for word in wanted}
    shared = sum(_weight(concept) * certainty[concept] for concept in named if concept in certainty)
    return 2 * shared / (sum(map(_weight, certainty)) + sum(map(_weight, named)))


def _weight(concept: str) -> float:
    return _WEAK_WEIGHT if concept in vocabulary()["weak"] else 1.0
