"""Code maps: which spelling of the source is which canonical value, where it speaks for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidewaiter.canonical import Field
from tidewaiter.contracts.propose.content import ColumnProfile
from tidewaiter.contracts.propose.names import fold, vocabulary

UNKNOWN = "?"
_RARE = 0.01


@dataclass(frozen=True)
class CodeMap:
    """What the spellings of a column mean.

    Attributes:
        codes: Spelling to canonical value, `?` where a person must say it; empty where the column has
            the canonical values already.
        unknown: Spellings that do not say what they mean.
        left_out: The same, but so rare that they are more likely faults: they go to quarantine.
    """

    codes: dict[str, Any]
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def code_map(target: Field, column: ColumnProfile) -> CodeMap:
    """Return what the spellings of a column mean for a boolean field or one with a code list."""

    def is_rare(count: int) -> bool:
        return count <= _RARE * column.values

    if target.type == "boolean":
        known: dict[str, Any] = dict(column.flags or {})
        if all(fold(value) in ("true", "false") for value in column.codes):
            return CodeMap({})
    else:
        spellings = _spellings(target)
        known = {value: spellings[fold(value)] for value in column.codes if fold(value) in spellings}
        if all(
            value in (target.code_list or ()) for value, count in column.most_common if not is_rare(count)
        ):
            return CodeMap({})
    strange = {value: count for value, count in column.most_common if value not in known}
    unknown = tuple(value for value, count in strange.items() if not is_rare(count))
    left_out = tuple(value for value, count in strange.items() if is_rare(count))
    codes = {value: known.get(value, UNKNOWN) for value in sorted(column.codes) if value not in left_out}
    return CodeMap(codes, unknown, left_out)


def _spellings(target: Field) -> dict[str, str]:
    listed: dict[str, list[str]] = vocabulary()["codes"].get(target.name, {})
    own = {fold(code): code for code in target.code_list or ()}
    return own | {fold(spelling): code for code, spellings in listed.items() for spelling in spellings}
