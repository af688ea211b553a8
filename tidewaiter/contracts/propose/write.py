"""Writing a proposal as a contract: what was guessed says so, what was not is there as a comment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tidewaiter.canonical import load_dataset
from tidewaiter.contracts.propose.proposal import Proposal, ProposedExtract

_FIELD_INDENT = " " * 6
_WIDTH = 10_000  # no scalar is folded: a comment must stay on the line it belongs to


def contract_text(proposal: Proposal) -> str:
    """Return the contract as YAML with comments.

    It loads where every required field was guessed. Where one was not, loading names it; the line to
    fill in is there as a comment.
    """
    return "\n".join(_lines(proposal)) + "\n"


def _lines(proposal: Proposal) -> Iterator[str]:
    samples = ", ".join(_scalar(name) for entry in proposal.extracts for name in entry.samples)
    yield f"# Proposed by `tidewaiter members init` from {samples}."
    yield "# Each guess says where it comes from. Check it, then remove the comment that says so;"
    yield f"# `tidewaiter members check {proposal.member} SAMPLE` shows what the contract makes of a file."
    yield f"member: {_scalar(proposal.member)}"
    yield f"name: {_scalar(proposal.name)}"
    yield 'owner: "nobody yet"  # whom to ask when an extract is refused'
    yield 'source: "not said yet"  # which system writes the files'
    zone_is_open = "  # not guessed: the zone in which the source's times are written"
    yield f"time_zone: {_scalar(proposal.time_zone or 'UTC')}{'' if proposal.time_zone else zone_is_open}"
    yield "extracts:"
    for entry in proposal.extracts:
        yield from _entry_lines(entry, proposal.member)


def _entry_lines(entry: ProposedExtract, member: str) -> Iterator[str]:
    for note in entry.notes:
        yield f"  # Look at this again: {_in_comment(note)}"
    yield f"  - dataset: {entry.dataset}"
    yield f"    location: {{home: incoming/{member.lower()}}}  # where the files arrive; correct it"
    yield f"    files: {_flow(entry.files)}  # guessed from the name of the sample"
    if entry.members:
        yield f"    archive: {{members: {_flow(entry.members)}}}  # files in the archive that belong here"
    yield f"    format: {_flow(entry.format)}"
    yield f"    null_values: {_flow(entry.null_values)}"
    if entry.header == "apart":
        yield "    header: apart  # what an item leaves empty is its header's: office, currency, parties"
    yield "    fields:" if entry.mapped else "    fields: {}"
    for name, guess in entry.mapped.items():
        yield f"{_FIELD_INDENT}{name}: {_flow(guess.mapping)}  # {_in_comment(guess.basis)}"
    yield from _open_lines(entry)


def _open_lines(entry: ProposedExtract) -> Iterator[str]:
    """Yield comments on what is left to a person: required, half guessed, not mapped, not used."""
    fields = load_dataset(entry.dataset).by_name
    half = {name: guess for name, guess in entry.guesses.items() if guess.open_question}
    if entry.to_fill_in:
        yield f"{_FIELD_INDENT}# To fill in: the contract does not load without these."
        for name in entry.to_fill_in:
            if name not in half:
                yield f"{_FIELD_INDENT}# {name}: {{column: }}  # {fields[name].description}"
    if half:
        yield f"{_FIELD_INDENT}# Guessed in part: answer the question, then remove the first #."
        for name, guess in half.items():
            words = f"{_in_comment(guess.basis)}; {_in_comment(guess.open_question)}"
            yield f"{_FIELD_INDENT}# {name}: {_flow(guess.mapping)}  # {words}"
    others = [name for name in entry.unmapped if name not in half and name not in entry.to_fill_in]
    if others:
        yield f"{_FIELD_INDENT}# Not mapped: nothing in the sample looked like these."
        for name in others:
            yield f"{_FIELD_INDENT}# {name}: {{column: }}  # {fields[name].description}"
    if entry.unused_columns:
        listed = ", ".join(_scalar(column) for column in entry.unused_columns)
        yield f"{_FIELD_INDENT}# Columns of the sample that feed no field: {listed}"


def _flow(value: Mapping[str, Any] | Sequence[Any]) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)}: {_item(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return "[" + ", ".join(_item(item) for item in value) + "]"


def _item(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return _flow(value)
    return _scalar(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalpha() and key.islower() else _scalar(key)


def _scalar(value: Any) -> str:
    """Return a value in YAML on one line; a text is always quoted, so that NO stays Norway."""
    if isinstance(value, str):
        return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=_WIDTH).strip()
    return yaml.safe_dump(value, width=_WIDTH).removesuffix("\n").removesuffix("...").strip()


def _in_comment(text: str) -> str:
    """Return a text that cannot end its comment: names from files are data."""
    return " ".join(text.split()).replace("\0", " ") if text.isprintable() else repr(text)
