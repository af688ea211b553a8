"""Writing synthetic members under `TIDEWAITER_HOME/synthetic`: same request, same bytes, written once.

A member's folder holds `extracts/` (what landing may read), `truth/` (what only evaluation may read)
and `manifest.json`. The folder is replaced as a whole, or not at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tidewaiter import fingerprint
from tidewaiter.errors import Problems, UsageProblem
from tidewaiter.files import folder_replaced_atomically, read_json, write_json_atomically
from tidewaiter.home import Home
from tidewaiter.synthetic.dialects import DIALECTS, Dialect
from tidewaiter.synthetic.faults import plant_faults, write_ledger
from tidewaiter.synthetic.profiles import PROFILES, Request, WorldParameters, find_profiles
from tidewaiter.synthetic.rows import World, draw_world
from tidewaiter.synthetic.writing import join_lines, slice_files, spell_items, spell_rates, write_lines

EXTRACTS = "extracts"
TRUTH = "truth"
MANIFEST = "manifest.json"
FIRST_MONTH = date(2024, 1, 1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneratedMember:
    """What stands on disk for one member.

    Attributes:
        member_iso2: User-assigned ISO 3166-1 code.
        folder: The member's folder.
        items: Goods lines, faulty ones included.
        files: Extracts, relative to `folder`.
        faults: Planted raw-file faults.
        is_rewritten: False where everything stood already.
    """

    member_iso2: str
    folder: Path
    items: int
    files: tuple[str, ...]
    faults: int
    is_rewritten: bool


def generate_members(
    home: Home,
    members: Iterable[str] = tuple(PROFILES),
    items_per_member: int | Mapping[str, int] | None = None,
    months: int = 18,
    seed: int = 7,
    *,
    first_month: date = FIRST_MONTH,
    world: WorldParameters | None = None,
) -> list[GeneratedMember]:
    """Write the extracts, truth and manifest of synthetic members, where they do not stand already.

    Args:
        home: Where `synthetic/` lies.
        members: Codes out of `PROFILES`.
        items_per_member: Goods lines of every member, or of each; else the profile's own number.
        months: Length of the period from `first_month`; extracts are as known at its end.
        seed: Root of all random streams.
        first_month: Any day of the first month.
        world: Strengths of the world; else the defaults.

    Raises:
        UsageProblem: Unknown member, or a number below one.
    """
    profiles = find_profiles(members)
    by_member = items_per_member if isinstance(items_per_member, Mapping) else {}
    fallback = items_per_member if isinstance(items_per_member, int) else None
    requests = [
        Request(
            profile=profile,
            world=world or WorldParameters(),
            items=by_member.get(profile.member_iso2, profile.items if fallback is None else fallback),
            first_month=first_month.replace(day=1),
            months=months,
            seed=seed,
        )
        for profile in profiles
    ]
    _check(requests)
    return [_generate(home, request) for request in requests]


def _check(requests: Iterable[Request]) -> None:
    problems = Problems(error=UsageProblem)
    for request in requests:
        where = f"synthetic member {request.profile.member_iso2}"
        for name, value, least in (("items", request.items, 1), ("months", request.months, 1)):
            if value < least:
                problems.add(f"{name} is {value}", where=where, expected=f"at least {least}")
        if request.seed < 0:
            problems.add(f"seed is {request.seed}", where=where, expected="zero or more")
    problems.raise_if_any()


def _generate(home: Home, request: Request) -> GeneratedMember:
    member = request.profile.member_iso2
    folder = home.synthetic / member.lower()
    identity = _identity(request)
    standing = read_json(folder / MANIFEST)
    if standing is not None and _stands(folder, standing, identity):
        _log.info("synthetic member %s stands already", member)
        return _generated(request, folder, standing, is_rewritten=False)
    with folder_replaced_atomically(folder) as partial:
        faults = _write_member(request, DIALECTS[member], draw_world(request), partial)
        files = {
            path.relative_to(partial).as_posix(): fingerprint.of_file(path)
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        manifest = identity | {"items": request.items, "faults": faults, "files": files}
        write_json_atomically(partial / MANIFEST, manifest)
    _log.info("synthetic member %s: %d items in %d files", member, request.items, len(files))
    return _generated(request, folder, manifest, is_rewritten=True)


def _write_member(request: Request, dialect: Dialect, world: World, folder: Path) -> int:
    """Write one member's extracts and truth into an empty folder; return the number of faults."""
    extracts, truth = folder / EXTRACTS, folder / TRUTH
    extracts.mkdir()
    truth.mkdir()
    clean = spell_items(world, request, dialect)
    spoilt = plant_faults(request, dialect, clean)
    files = slice_files(world, request, dialect)
    for file in files:
        lines = spoilt.lines.slice(file.first_row, file.end_row - file.first_row)
        write_lines(extracts / file.name, clean.column_names, lines, dialect)
    rates = spell_rates(world, request, dialect)
    write_lines(extracts / dialect.rates_file_name, rates.column_names, join_lines(rates, dialect), dialect)
    ledger = write_ledger(spoilt, clean, files, dialect, EXTRACTS)
    write_json_atomically(truth / "faults.json", ledger)
    declaration_id = clean[dialect.faults.fields["declaration_id"]]
    table = world.truth.add_column(0, "declaration_id", declaration_id)
    pq.write_table(table, truth / "items.parquet", compression="zstd")
    return len(ledger)


def _identity(request: Request) -> dict[str, Any]:
    """What determines the bytes: the generator's own source and its parameters."""
    parameters = {
        "member": asdict(request.profile),
        "world": asdict(request.world),
        "items": request.items,
        "first_month": request.first_month.isoformat(),
        "months": request.months,
        "seed": request.seed,
    }
    return {
        "generator": fingerprint.of_tree(Path(__file__).parent, ("*.py", "*.csv")),
        # Through JSON, so that what was read back compares equal to what would be written.
        "parameters": json.loads(json.dumps(parameters)),
    }


def _stands(folder: Path, manifest: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    if any(manifest.get(name) != value for name, value in identity.items()):
        return False
    return all(
        (folder / name).is_file() and fingerprint.of_file(folder / name) == sha256
        for name, sha256 in manifest["files"].items()
    )


def _generated(
    request: Request, folder: Path, manifest: Mapping[str, Any], *, is_rewritten: bool
) -> GeneratedMember:
    return GeneratedMember(
        member_iso2=request.profile.member_iso2,
        folder=folder,
        items=manifest["items"],
        files=tuple(name for name in sorted(manifest["files"]) if name.startswith(f"{EXTRACTS}/")),
        faults=manifest["faults"],
        is_rewritten=is_rewritten,
    )
