"""What was found out about texts, so that each of them is looked into once and not once per row."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

# Texts remembered; when there are more, all are forgotten and, should they come again, looked into again.
_REMEMBERED = 200_000
_NONE = pa.nulls(0, pa.string())  # pa.array would import pandas


class Known:
    """Findings by text, shared by threads. Null is a text like any other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._texts = _NONE
        self._findings: pa.Table | None = None

    def look_up(self, texts: pa.Array, find: Callable[[pa.Array], pa.Table]) -> tuple[pa.Array, pa.Table]:
        """Return findings, and for each text the row of them that is its own.

        Args:
            texts: Best given once each.
            find: Returns one row for each of some texts that have not been seen, in their order.
        """
        with self._lock:
            known, findings = self._texts, self._findings
        place = pc.index_in(texts, value_set=known)
        if findings is not None and not place.null_count:
            return place, findings
        with self._lock:
            if self._findings is not findings:  # somebody has found out more meanwhile
                place = pc.index_in(texts, value_set=self._texts)
            is_new = place.is_null()
            occurrences = texts.filter(is_new)
            new = occurrences.unique()
            after = pc.add(pc.index_in(occurrences, value_set=new), pa.scalar(len(self._texts), pa.int32()))
            place = pc.replace_with_mask(place, is_new, after)
            if self._findings is None or len(new):
                self._add(new, find(new))
            result = place, self._findings
            if len(self._texts) > _REMEMBERED:
                self._texts, self._findings = _NONE, None
            return result

    def _add(self, texts: pa.Array, findings: pa.Table) -> None:
        tables = [findings] if self._findings is None else [self._findings, findings]
        self._texts = pa.concat_arrays([self._texts, texts])
        self._findings = pa.concat_tables(tables).combine_chunks()
