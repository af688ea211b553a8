"""Which columns JSON records have: the paths of the values that are no objects.

Found level by level. DuckDB's own `json_structure` goes down on its own stack and ends the process
on a deeply nested record (duckdb 1.5.5).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidewaiter.landing.formats.json_paths import keys_sql, pointer
from tidewaiter.landing.formats.opening import MOST_COLUMNS, Opening
from tidewaiter.landing.staged import SOURCE_LINE
from tidewaiter.warehouse import quote_literal

Path = tuple[str, ...]

# An object further down is read as JSON text.
_DEEPEST_LEVEL = 20


@dataclass(frozen=True)
class Structure:
    """What was found in the records of one file.

    Attributes:
        opening: The file.
        records: SQL of its records: `source_line`, `record`, `fault`.
        paths: Paths of the columns, in the order of their first appearance.
        doubles: Paths of objects in which, in some record, a key stands twice.
    """

    opening: Opening
    records: str
    paths: list[Path] = field(default_factory=list)
    doubles: set[Path] = field(default_factory=set)

    def find(self) -> None:
        """Fill `paths` and `doubles`.

        Raises:
            TidewaiterError: There are too many columns for a table.
        """
        self._descend(())

    def _descend(self, above: Path) -> None:
        paths = [(*above, key) for key in self._keys(above)]
        for path, (is_object, is_value) in zip(paths, self._kinds(paths), strict=True):
            before = len(self.paths)
            if is_object and len(path) < _DEEPEST_LEVEL:
                self._descend(path)
            if is_value or len(self.paths) == before:
                self.paths.insert(before, path)
        if len(self.paths) > MOST_COLUMNS:
            raise self._too_many()

    def _keys(self, above: Path) -> list[str]:
        """Return the keys of the objects at a path, by first appearance; note where one stands twice."""
        shapes = (
            f"select {keys_sql('record', above)} as keys, min({SOURCE_LINE}) as line from {self.records}"
            " where fault is null group by all"
        )
        rows = self.opening.execute(
            f"with shapes as ({shapes}), places as (select unnest(keys) as key,"
            " generate_subscripts(keys, 1) as place, line from shapes)"
            " select key, (select max(len(keys) - len(list_distinct(keys))) from shapes)"
            f" from places group by key order by min((line, place)) limit {MOST_COLUMNS + 1}"
        ).fetchall()
        if len(rows) > MOST_COLUMNS:
            raise self._too_many()
        if rows and rows[0][1]:
            self.doubles.add(above)
        return [str(key) for key, _ in rows]

    def _kinds(self, paths: list[Path]) -> list[tuple[bool, bool]]:
        """Return for each path whether it ever holds an object, and ever something else than null."""
        if not paths:
            return []
        pointers = ", ".join(quote_literal(pointer(path)) for path in paths)
        asked = ", ".join(
            f"coalesce(bool_or(kinds[{place}] = 'OBJECT'), false),"
            f" coalesce(bool_or(kinds[{place}] not in ('OBJECT', 'NULL')), false)"
            for place in range(1, len(paths) + 1)
        )
        row = self.opening.execute(
            f"select {asked} from (select json_type(record, [{pointers}]) as kinds from {self.records}"
            " where fault is null)"
        ).fetchone()
        flags = [bool(flag) for flag in row or ()]
        return list(zip(flags[::2], flags[1::2], strict=True))

    def _too_many(self) -> Exception:
        return self.opening.error(f"the records have more than {MOST_COLUMNS} different columns")
