"""Fixed-width samples: lines of one length without a delimiter, and where their columns may begin."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

_LEAST_LINES = 3
_LEAST_LENGTH = 20
_OF_ONE_LENGTH = 0.95
_MOST_LINES = 2_000
_DELIMITERS = ",;|\t"
_NEARLY_ALL = 0.98
# Between digits it is part of a number.
_DECIMAL_MARK = re.compile(r"(?<=[0-9])[.,](?=[0-9])")


def fixed_width_format(text: str) -> dict[str, Any] | None:
    """Return the format where a sample is of fixed width, else None. Places of columns are guesses."""
    lines = [line for line in text.splitlines() if line][:_MOST_LINES]
    if len(lines) < _LEAST_LINES:
        return None
    length, times = Counter(map(len, lines)).most_common(1)[0]
    if length < _LEAST_LENGTH or times < _OF_ONE_LENGTH * len(lines) or _is_delimited(lines):
        return None
    usual = [line for line in lines if len(line) == length]
    columns = [
        {"name": f"c{start + 1}_{end}", "start": start + 1, "end": end} for start, end in _columns(usual)
    ]
    return {"kind": "fixed_width", "record_length": length, "columns": columns} if columns else None


def _is_delimited(lines: list[str]) -> bool:
    for delimiter in _DELIMITERS:
        counts = Counter(line.count(delimiter) for line in lines)
        number, times = counts.most_common(1)[0]
        if number and times >= _OF_ONE_LENGTH * len(lines):
            return True
    return False


def _columns(lines: list[str]) -> list[tuple[int, int]]:
    """Return where columns begin and end, from 0: cut at blanks, and where digits and letters meet."""
    kinds = np.array([[_kind(character) for character in _DECIMAL_MARK.sub("0", line)] for line in lines])
    columns = []
    # The commonest kind at each place, where nearly all lines have it or a blank.
    shape = "".join(_shape(kinds[:, place]) for place in range(kinds.shape[1]))
    for found in re.finditer(r"9+|a+|x+", shape):
        columns.append((found.start(), found.end()))
    return columns


def _kind(character: str) -> str:
    if character.isdigit():
        return "9"
    return " " if character.isspace() else "a"


def _shape(kinds: Any) -> str:
    shares = {kind: float(np.mean(kinds == kind)) for kind in "9a "}
    if shares[" "] == 1:
        return " "
    if shares["9"] + shares[" "] >= _NEARLY_ALL:
        return "9"
    return "a" if shares["a"] + shares[" "] >= _NEARLY_ALL else "x"
