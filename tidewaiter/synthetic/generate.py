"""Writing synthetic members: same request, same bytes, written once.

A member's folder holds `extracts/` (what landing may read), `truth/` (what only evaluation may read),
`faults.json` (the ledger of faults in the extracts) and `manifest.json`. The folder is replaced as a
whole, or not at all. Rows are drawn and written chunk by chunk, one chunk being drawn while the one
before is written: memory does not grow with the items.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidewaiter import fingerprint
from tidewaiter.errors import Problems, UsageProblem
from tidewaiter.fence import EXTRACTS, TRUTH
from tidewaiter.files import folder_replaced_atomically, read_json, write_json_atomically
from tidewaiter.home import Home
from tidewaiter.synthetic import standing
from tidewaiter.synthetic.aggregates import Flows
from tidewaiter.synthetic.dialects import DIALECTS
from tidewaiter.synthetic.parameters import Plan, WorldParameters, small_plan
from tidewaiter.synthetic.profiles import DEMO_MEMBERS, Request, find_profiles
from tidewaiter.synthetic.sending import Sending
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.tables import to_tables
from tidewaiter.synthetic.truth import Truth
from tidewaiter.synthetic.world import DrawnChunk, World

FAULTS = "faults.json"
MANIFEST = "manifest.json"
FIRST_MONTH = date(2024, 1, 1)

# Called with the member and how many goods lines of how many are written.
Progress = Callable[[str, int, int], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneratedMember:
    """What stands on disk for one member.

    Attributes:
        member_iso2: User-assigned ISO 3166-1 code.
        folder: The member's folder.
        items: Goods lines in the extracts, faulty and re-registered ones included.
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
    members: Iterable[str] = DEMO_MEMBERS,
    items_per_member: int | Mapping[str, int] | None = None,
    months: int = 18,
    seed: int = 7,
    *,
    first_month: date = FIRST_MONTH,
    world: WorldParameters | None = None,
    plan: Plan | None = None,
) -> list[GeneratedMember]:
    """Write small synthetic members under the home, where they do not stand already.

    Args:
        home: Where `synthetic/` lies.
        members: Codes out of `PROFILES`.
        items_per_member: Goods lines of every member, or of each; else the profile's own number.
        months: Length of the period from `first_month`; extracts are as known at its end.
        seed: Root of all random streams.
        first_month: Any day of the first month.
        world: Strengths of the world; else those of small worlds.
        plan: All strengths; else everything, as frequent as small worlds need it.

    Raises:
        UsageProblem: Unknown member, or a number below one.
    """
    chosen = plan or small_plan(world)
    requests = make_requests(members, items_per_member, months, seed, chosen, first_month)
    return write_members(home.synthetic, requests)


def make_requests(
    members: Iterable[str],
    items_per_member: int | Mapping[str, int] | None,
    months: int,
    seed: int,
    plan: Plan,
    first_month: date = FIRST_MONTH,
) -> list[Request]:
    """Return one request per member.

    Raises:
        UsageProblem: Unknown member, or a number below one; carries all problems.
    """
    profiles = find_profiles(members)
    by_member = items_per_member if isinstance(items_per_member, Mapping) else {}
    fallback = items_per_member if isinstance(items_per_member, int) else None
    requests = [
        Request(
            profile=profile,
            plan=plan,
            items=by_member.get(profile.member_iso2, profile.items if fallback is None else fallback),
            first_month=first_month.replace(day=1),
            months=months,
            seed=seed,
        )
        for profile in profiles
    ]
    _check(requests)
    return requests


def write_members(
    out: Path, requests: Iterable[Request], progress: Progress | None = None
) -> list[GeneratedMember]:
    """Write each requested member to its folder in `out`, unless it stands there already."""
    return [_generate(out, request, progress) for request in requests]


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


def _generate(out: Path, request: Request, progress: Progress | None) -> GeneratedMember:
    member = request.profile.member_iso2
    folder = out / member.lower()
    identity = _identity(request)
    standing_manifest = read_json(folder / MANIFEST)
    if standing_manifest is not None and _stands(folder, standing_manifest, identity):
        _log.info("synthetic member %s stands already", member)
        if progress:
            progress(member, request.items, request.items)
        return _generated(request, folder, standing_manifest, is_rewritten=False)
    with folder_replaced_atomically(folder) as partial:
        items, faults = _write_member(request, partial, progress)
        files = {
            path.relative_to(partial).as_posix(): fingerprint.of_file(path)
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        manifest = identity | {"items": items, "faults": faults, "files": files}
        write_json_atomically(partial / MANIFEST, manifest)
    _log.info("synthetic member %s: %d items in %d files", member, items, len(files))
    return _generated(request, folder, manifest, is_rewritten=True)


def _write_member(request: Request, folder: Path, progress: Progress | None) -> tuple[int, int]:
    """Write one member into an empty folder; return the number of goods lines and of faults."""
    member, dialect = request.profile.member_iso2, DIALECTS[request.profile.member_iso2]
    extracts, truth_folder = folder / EXTRACTS, folder / TRUTH
    extracts.mkdir()
    truth_folder.mkdir()
    world = World(request)
    sending = Sending(world.setting, dialect, extracts)
    truth = Truth(world.setting, dialect, sending, truth_folder)
    flows = Flows(world.setting)
    done = 0

    def write(drawn: DrawnChunk) -> None:
        tables = to_tables(world.setting, drawn)
        sending.add(tables, drawn.chunk.month)
        truth.add(tables)

    # One chunk is written while the next is drawn; never more than these two are held.
    with ThreadPoolExecutor(max_workers=1) as writer:
        pending: Future[None] | None = None
        for drawn in world.chunks():
            flows.add(drawn)
            if pending is not None:
                pending.result()
            pending = writer.submit(write, drawn)
            done += drawn.chunk.items
            if progress:
                progress(member, done, request.items)
        if pending is not None:
            pending.result()
    _send_standing(world.setting, flows, sending)
    truth.close()
    ledger = sending.close()
    write_json_atomically(folder / FAULTS, sorted(ledger, key=lambda fault: (fault["file"], fault["line"])))
    return sending.rows, len(ledger)


def _send_standing(setting: Setting, flows: Flows, sending: Sending) -> None:
    tables: dict[str, Callable[[], pa.Table]] = {
        "roster": lambda: standing.roster(setting),
        "tariff": lambda: standing.tariff(setting),
        "rates": lambda: standing.exchange_rates(setting),
        "flows": flows.own,
        "mirror": flows.mirror,
    }
    for kind in DIALECTS[setting.request.profile.member_iso2].files:
        if kind.source in tables:
            sending.add_table(kind, tables[kind.source]())


def _identity(request: Request) -> dict[str, Any]:
    """What determines the bytes: the generator's own source and its parameters."""
    parameters = {
        "member": asdict(request.profile),
        "plan": asdict(request.plan),
        "items": request.items,
        "first_month": request.first_month.isoformat(),
        "months": request.months,
        "seed": request.seed,
    }
    return {
        "generator": fingerprint.of_tree(Path(__file__).parent, ("**/*.py", "*.csv")),
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
