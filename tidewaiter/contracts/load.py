"""Finding and reading contracts. One member is one folder; nothing else registers it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tidewaiter import fingerprint
from tidewaiter.contracts.fields import FOLDER
from tidewaiter.contracts.model import Contract
from tidewaiter.contracts.strict import Strict, said
from tidewaiter.errors import Problem, UsageProblem, closest

CONTRACT_FILE = "contract.yaml"


def list_members(members_dir: Path) -> list[str]:
    """Return the codes of all members that have a contract, sorted.

    Raises:
        UsageProblem: The folder does not exist.
    """
    if not members_dir.is_dir():
        raise UsageProblem(
            Problem("no such folder", where=str(members_dir), next_step="set TIDEWAITER_MEMBERS_DIR")
        )
    return sorted(path.parent.name.upper() for path in members_dir.glob(f"*/{CONTRACT_FILE}"))


def member_folder(members_dir: Path, code: str) -> Path:
    """Return the folder of one member, whatever the case of the code.

    Raises:
        UsageProblem: There is no such member; names the closest one.
    """
    known = list_members(members_dir)
    if code.upper() not in known:
        raise UsageProblem(
            Problem(
                f"unknown member '{code}'{closest(code.upper(), known)}",
                where=str(members_dir),
                expected=f"one of {', '.join(known)}" if known else "a folder with a contract.yaml",
                next_step="tidewaiter members list",
            )
        )
    return members_dir / code.lower()


def load_contract(members_dir: Path, code: str) -> Contract:
    """Read and check one member's contract.

    Raises:
        UsageProblem: Unknown member, broken YAML, or every field of the contract that is wrong.
    """
    path = member_folder(members_dir, code) / CONTRACT_FILE
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageProblem(Problem(f"not YAML: {error}", where=str(path))) from None
    try:
        contract = Contract.model_validate(found, context={FOLDER: path.parent})
    except ValidationError as error:
        raise UsageProblem(
            Problem(
                detail["msg"].removeprefix("Value error, ") + _suggestion(detail),
                where=f"{path}: {'.'.join(str(part) for part in detail['loc']) or 'contract'}",
                next_step="docs/reference/contract.md lists what a contract may say",
            )
            for detail in error.errors()
        ) from None
    if contract.member != code.upper():
        raise UsageProblem(
            Problem(
                f"member is '{contract.member}'",
                where=str(path),
                expected=f"'{code.upper()}', the folder's name",
            )
        )
    return contract


def contract_fingerprint(contract: Contract) -> str:
    """Return a digest that changes when the contract's meaning changes, not its comments or the software."""
    return fingerprint.of_json(said(contract))


def _suggestion(detail: Any) -> str:
    if detail["type"] != "extra_forbidden":
        return ""
    name = str(detail["loc"][-1])
    known = {field for model in _models(Strict) for field in model.model_fields}
    return f": '{name}'{closest(name, known)}"


def _models(base: type[Strict]) -> Iterator[type[Strict]]:
    """Every model that a contract is made of."""
    for model in base.__subclasses__():
        yield model
        yield from _models(model)
