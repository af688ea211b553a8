"""Changing the pseudonym key: a new key first, then every extract again from the bytes kept.

A killed rotation is finished by asking for it again: while extracts stand under another key, no
further key is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.dossiers import forget_everybody
from flows.progress import step
from flows.quarantine import replay
from tidewaiter.contracts import load_contract
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import read_json, write_json_atomically
from tidewaiter.keys import release, remove_expired_keys, replace_key, set_aside
from tidewaiter.landing import Receipt, landed_receipts
from tidewaiter.landing.replay import find_bytes, missing_bytes
from tidewaiter.pseudonyms import KEY_FILE, KEY_VARIABLE, key_is_given, load_pseudonymiser
from tidewaiter.settings import Settings

_STATE_FILE = "key-rotation.json"


@dataclass(frozen=True)
class Rotation:
    """What a rotation came to.

    Attributes:
        old_key_id, new_key_id: The keys before and after.
        extracts: Extracts landed again by this call.
        kept_until: When the old key is removed; None where it is gone already or was never ours.
        problems: Extracts that could not be landed again; they keep their old pseudonyms.
    """

    old_key_id: str
    new_key_id: str
    extracts: int
    kept_until: str | None
    problems: tuple[Problem, ...]

    @property
    def row(self) -> dict[str, Any]:
        """One row for printing."""
        return {
            "old_key": self.old_key_id,
            "new_key": self.new_key_id,
            "extracts_landed_again": self.extracts,
            "failed": len(self.problems),
            "old_key_kept_until": self.kept_until,
        }

    @property
    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return self.row | {"problems": [str(problem) for problem in self.problems]}


def rotate_key(settings: Settings, *, keep_old_days: int = 0) -> Rotation:
    """Make a new key, unless a rotation is under way, and land every extract again under it.

    Where the key comes from the environment, it is changed there first; this lands again what still
    stands under the old one.

    Args:
        settings: Where the home is.
        keep_old_days: Days to keep the old key in `keys/retired`; with 0 it is removed once every
            extract stands under the new one.

    Raises:
        TidewaiterError: The bytes of an extract are no longer kept, or the key comes from the
            environment and has not been changed there; nothing has changed then.
    """
    paths = settings.paths
    receipts = landed_receipts(paths)
    state = _begin(settings, receipts, keep_old_days)
    new = load_pseudonymiser(paths).key_id
    with step("rotate the pseudonym key") as running:
        done = replay(settings, [receipt for receipt in receipts if receipt.key_id != new])
        problems = tuple(problem for one in done for problem in one.problems)
        running.note(f"{len(done)} extracts, {len(problems)} problems")
    if not problems:
        _end(settings, state)
    return Rotation(
        old_key_id=state["old"],
        new_key_id=new,
        extracts=sum(one.after is not None for one in done),
        kept_until=state["kept_until"],
        problems=problems,
    )


def _begin(settings: Settings, receipts: list[Receipt], keep_old_days: int) -> dict[str, Any]:
    """Return the rotation under way, or begin one: record, old key aside, new key in its place."""
    paths = settings.paths
    present = load_pseudonymiser(paths).key_id
    state: dict[str, Any] | None = read_json(paths.state / _STATE_FILE)
    others = sorted({receipt.key_id for receipt in receipts} - {present})
    if state is None and others:
        # Another key was put in place by hand, in the environment or in the file.
        _require_bytes(settings, [receipt for receipt in receipts if receipt.key_id != present])
        return {"old": others[0], "kept_until": None}
    if state is None:
        if key_is_given():
            raise TidewaiterError(
                Problem(
                    "the pseudonym key comes from the environment",
                    where=KEY_VARIABLE,
                    expected="another key there, before what is landed lands again under it",
                    next_step=f"change {KEY_VARIABLE}, then: tidewaiter privacy rotate-key",
                )
            )
        _require_bytes(settings, receipts)
        until = _now() + timedelta(days=keep_old_days)
        state = {"old": present, "kept_until": until.isoformat(timespec="seconds") if keep_old_days else None}
        write_json_atomically(paths.state / _STATE_FILE, state)
    if present == state["old"]:
        # Until everything stands under the new key, only the old one explains what is on land.
        set_aside(paths, KEY_FILE, present, datetime.max)
        replace_key(paths, KEY_FILE)
    return state


def _end(settings: Settings, state: dict[str, Any]) -> None:
    # Signals and dossiers speak of pseudonyms that nobody has any more.
    forget_everybody(settings, f"pseudonym key {state['old']} rotated")
    keep_until = datetime.fromisoformat(state["kept_until"]) if state["kept_until"] else _now()
    release(settings.paths, state["old"], keep_until)
    remove_expired_keys(settings.paths, _now())
    (settings.paths.state / _STATE_FILE).unlink(missing_ok=True)


def _require_bytes(settings: Settings, receipts: list[Receipt]) -> None:
    contracts = {
        member: load_contract(settings.members_dir, member)
        for member in {receipt.member_iso2 for receipt in receipts}
    }
    gone = [
        receipt
        for receipt in receipts
        if find_bytes(receipt, contracts[receipt.member_iso2], settings) is None
    ]
    if gone:
        raise TidewaiterError(missing_bytes(receipt) for receipt in gone)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
