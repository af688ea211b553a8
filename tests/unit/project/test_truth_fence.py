"""Truth is fenced: it is never landed, and nothing that learns or publishes knows where it lies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidewaiter.contracts import list_members, load_contract
from tidewaiter.errors import UsageProblem
from tidewaiter.fence import refuse_truth
from tidewaiter.landing import land_file
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import PROJECT_ROOT, load_settings
from tidewaiter.synthetic import generate_members

ROOMS = ("dbt_project", "expectations", "flows", "members", "ml", "tidewaiter")
# Where the truth is made and fenced, and where models and indicators may be judged by it.
ALLOWED = (
    "tidewaiter/synthetic/",
    "tidewaiter/fence.py",
    "ml/integrity/evaluate",
    "ml/targeting/simulate",
)
# Its folder as a path, its files, its modules and the columns that only it has.
TELLING = re.compile(
    r"""truth/|/truth\b|["']truth["']|synthetic\.truth|fence\.TRUTH|import\ .*\bTRUTH\b
    |\b(?:pairs|entities)\.parquet
    |\btrue_(?:hs6|origin_iso2|value_usd|net_kg|rate_pct|tax_usd)\b|\bis_bent_importer\b
    |\bis_(?:diverted|overridden_by_ring|passed_over|shopped|extorted|registered_again)\b""",
    re.VERBOSE,
)
SUFFIXES = {".py", ".sql", ".yml", ".yaml", ".md", ".j2", ".csv", ".json", ".toml"}
_GENERATED = {"target", "logs", "__pycache__", "data"}


def sources() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted((PROJECT_ROOT / room).rglob("*"))
        if path.is_file() and path.suffix in SUFFIXES and not _GENERATED & set(path.parts)
    ]


def offences(text: str) -> list[str]:
    return [found.group() for found in TELLING.finditer(text)]


def test_nothing_but_evaluation_refers_to_the_truth():
    checked = sources()
    assert len(checked) > 150
    assert {path.relative_to(PROJECT_ROOT).parts[0] for path in checked} == set(ROOMS)
    found = {
        str(path.relative_to(PROJECT_ROOT)): offences(path.read_text(encoding="utf-8"))
        for path in checked
        if not path.relative_to(PROJECT_ROOT).as_posix().startswith(ALLOWED)
    }
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "reference",
    [
        "select * from read_parquet('synthetic/xa/truth/items.parquet')",
        "location: {home: synthetic/xa/truth}",
        "from tidewaiter.synthetic.truth import ITEMS",
        "{{ source('landing', 'items') }} join truth using (true_hs6)",
        'folder / "truth" / name',
        "where is_diverted",
    ],
)
def test_a_reference_would_be_noticed(reference):
    assert offences(reference)


def test_truth_is_not_landed_by_any_way(tmp_path):
    """Not by a contract that points at it, and not through a link."""
    settings = load_settings({"home": tmp_path}, environment={})
    (member,) = generate_members(settings.paths, ["XA"], 200, months=2)
    contract = load_contract(settings.members_dir, "XA")
    items = next(one for one in contract.extracts if one.dataset == "declaration_items")
    smuggled = member.folder / "truth" / "import_items_2024-01_2024-06.csv"
    smuggled.write_bytes((member.folder / member.files[0]).read_bytes())
    link = tmp_path / "innocent.csv"
    link.symlink_to(smuggled)
    for path in (smuggled, link):
        with pytest.raises(UsageProblem, match="truth behind synthetic extracts is not landed"):
            land_file(path, items, contract, settings, Pseudonymiser(b"k" * 32))
    assert not settings.paths.landing.exists() or not list(settings.paths.landing.rglob("rows.parquet"))
    assert not list(settings.paths.raw.rglob("*.csv"))


def test_a_folder_that_happens_to_be_called_so_is_no_truth(tmp_path):
    path = tmp_path / "truth" / "declarations.csv"
    path.parent.mkdir()
    path.write_text("x")
    refuse_truth(path)


@pytest.mark.parametrize("code", list_members(PROJECT_ROOT / "members"))
def test_no_contract_can_reach_it(code):
    for extract in load_contract(PROJECT_ROOT / "members", code).extracts:
        folder = getattr(extract.location, "home", None) or getattr(extract.location, "member", None) or ""
        assert "truth" not in Path(folder).parts
        assert all("**" not in pattern and "truth" not in pattern for pattern in extract.files)
