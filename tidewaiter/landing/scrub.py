"""Emptying an erased subject's records in the raw bytes that are kept.

In a file of lines the records become empty lines, so that every other row keeps its place and can be
landed again; any other file is removed.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tidewaiter import files
from tidewaiter.contracts import CsvFormat, Extract
from tidewaiter.erasures import normalise_identifier
from tidewaiter.landing.raw import ERASED_FILE
from tidewaiter.landing.text import prepare_text

if TYPE_CHECKING:
    from tidewaiter.landing.raw import StoredRaw

# Read byte by byte where a line feed and a quote are the same bytes as in ASCII.
_WIDE_ENCODINGS = ("utf-16", "utf-32")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")


def scrub_raw(
    raw: StoredRaw,
    extract: Extract | None,
    lines: Collection[int],
    *,
    unreadable: Collection[int] = (),
    identifier: str | None = None,
) -> set[int]:
    """Make the records on these lines of a raw file empty lines, or remove the file where that cannot be.

    Args:
        raw: The kept bytes; nothing happens where they were removed before.
        extract: The contract's entry that reads them; None removes the file.
        lines: First lines of the records to empty; of wide records, places of their blocks.
        unreadable: Lines without columns that are emptied too where the identifier is in their text.
        identifier: The subject in clear, where it is known.

    Returns:
        The unreadable lines that hold the identifier.
    """
    if raw.archive_sha256 is not None:
        if lines and raw.kept_path.is_file():
            _note(raw, set(), removed=True)
            raw.kept_path.unlink()
        return set()
    if not raw.is_kept:
        return set()
    if (
        extract is None
        or not isinstance(extract.format, CsvFormat)
        or _is_compressed(raw.path)
        or _has_other_lines(raw, extract.format)
    ):
        if not lines:
            return set()  # what could not be read is not searched in a form of which we know no lines
        _note(raw, set(), removed=True)
        raw.path.unlink()
        return set()
    wanted = None if identifier is None else normalise_identifier(identifier)
    blocks = 1 if extract.format.unpivot is None else len(extract.format.unpivot.blocks)
    of_file, unreadable_of_file = (
        frozenset((line - 1) // blocks + 1 for line in some) for some in (lines, unreadable)
    )
    scrubber = _Scrubber(extract.format, of_file, unreadable_of_file, wanted)
    with files.replace_file_atomically(raw.path) as partial:
        scrubber.copy(raw.path, partial)
        partial.chmod(0o600)
        _note(raw, scrubber.emptied, removed=False)
    return {(line - 1) * blocks + 1 for line in scrubber.found}


def rows_scrubbed(raw_folder: Path) -> int:
    """Return how many rows of a raw file were made empty lines."""
    return len((files.read_json(raw_folder / ERASED_FILE) or {"lines": []})["lines"])


def is_removed(raw_folder: Path) -> bool:
    """Whether the raw file was removed because it held an erased subject and cannot be mended."""
    return bool((files.read_json(raw_folder / ERASED_FILE) or {}).get("removed"))


class _Scrubber:
    """Copies a text line by line and leaves some records empty. Lines count as landing counts them."""

    def __init__(
        self, text_format: CsvFormat, lines: frozenset[int], unreadable: frozenset[int], wanted: str | None
    ) -> None:
        self._encoding = str(text_format.encoding)
        self._quote = text_format.quote
        self._escaped_quote = f"{text_format.escape}{text_format.quote}" if text_format.escape else ""
        self._lines = lines
        self._unreadable = unreadable
        self._wanted = wanted
        self.found: set[int] = set()
        self.emptied: set[int] = set()

    def copy(self, source: Path, target: Path) -> None:
        # Latin-1 gives back every byte as it was; only wide encodings must be understood.
        encoding = self._encoding if _is_wide(self._encoding) else "latin-1"
        line_end = "\r" if _ends_lines_with_cr_alone(source, encoding) else "\n"
        is_open = False
        with (
            source.open(encoding=encoding, newline=line_end) as reader,
            target.open("x", encoding=encoding, newline="") as writer,
        ):
            for number, line in enumerate(reader, start=1):
                is_unreadable = number in self._unreadable and self._names_subject(line)
                if is_unreadable:
                    self.found.add(number)
                starts = number in self._lines or is_unreadable
                if starts:
                    self.emptied.add(number)
                if starts or is_open:
                    # A quote that is not closed carries the record on to the next line.
                    is_open = (is_open != self._turns(line)) and not is_unreadable
                    text = line.rstrip("\r\n")
                    line = line[len(text) :]
                writer.write(line)

    def _turns(self, line: str) -> bool:
        if self._escaped_quote:
            line = line.replace(self._escaped_quote, "")
        return bool(self._quote) and line.count(self._quote) % 2 == 1

    def _names_subject(self, line: str) -> bool:
        if self._wanted is None:
            return False
        if not _is_wide(self._encoding):
            line = line.encode("latin-1").decode(self._encoding, errors="replace")
        return self._wanted in normalise_identifier(line)


def _ends_lines_with_cr_alone(path: Path, encoding: str) -> bool:
    feeds = returns = pairs = 0
    with path.open(encoding=encoding, newline="") as reader:
        while chunk := reader.read(1 << 20):
            feeds += chunk.count("\n")
            returns += chunk.count("\r")
            pairs += chunk.count("\r\n")
    return returns - pairs > feeds


def _has_other_lines(raw: StoredRaw, text_format: CsvFormat) -> bool:
    """Whether landing counted more lines than there are line feeds: CR alone ended some of them."""
    encoding = text_format.encoding if _is_wide(text_format.encoding) else "latin-1"
    if _ends_lines_with_cr_alone(raw.path, encoding):
        return False
    with TemporaryDirectory(prefix=f"{files.PARTIAL_PREFIX}lines-", dir=raw.folder) as folder:
        counted = prepare_text(raw.path, text_format, Path(folder), raw.file_name).lines
    with raw.path.open(encoding=encoding, newline="\n") as reader:
        return counted != sum(1 for _ in reader)


def _is_wide(encoding: str) -> bool:
    return encoding.lower().startswith(_WIDE_ENCODINGS)


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(8).startswith(_COMPRESSED)


def _note(raw: StoredRaw, lines: set[int], *, removed: bool) -> None:
    """Keep which lines were emptied. Before the bytes change, so that a kill leaves no unexplained gap."""
    path = raw.folder / ERASED_FILE
    before = files.read_json(path) or {"lines": [], "removed": False}
    after = {"lines": sorted({*before["lines"], *lines}), "removed": before["removed"] or removed}
    if after != before:
        files.write_json_atomically(path, after)
