from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from expectations import gate
from expectations.gate import run_gate
from expectations.verdicts import is_accepted, load_verdict
from tidewaiter.settings import PROJECT_ROOT, Settings

Writer = Callable[..., Path]


@pytest.fixture
def refuse_to_judge(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def install() -> None:
        def fail(*_: object) -> None:
            raise AssertionError("judged again")

        monkeypatch.setattr(gate, "_judge", fail)

    return install


def test_same_rows_and_checks_reuse_the_verdict(
    write_landed: Writer, settings: Settings, refuse_to_judge: Callable[[], None]
) -> None:
    path = write_landed({"hs6": "'x'"})
    first = run_gate("landing", "KR", path, settings)
    refuse_to_judge()
    second = run_gate("landing", "KR", path, settings)
    assert second == first
    assert (first.is_reused, second.is_reused) == (False, True)


def test_reuse_does_not_import_great_expectations(write_landed: Writer, settings: Settings) -> None:
    path = write_landed()
    run_gate("landing", "KR", path, settings)
    code = (
        "import sys; from pathlib import Path; from expectations.gate import run_gate;"
        "from tidewaiter.settings import Settings;"
        f"settings = Settings.model_validate_json({settings.model_dump_json()!r});"
        f"assert run_gate('landing', 'KR', Path({str(path)!r}), settings).is_reused;"
        "heavy = {'great_expectations', 'pandas', 'sqlalchemy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT_ROOT)


def test_other_rows_expectations_or_limits_are_judged_again(write_landed: Writer, settings: Settings) -> None:
    path = write_landed()
    assert run_gate("landing", "KR", path, settings).passed
    assert not run_gate("landing", "KR", path, settings, expected_rows=99).passed
    assert run_gate("landing", "KR", path, settings).passed
    write_landed({"hs6": "'x'"})
    assert not run_gate("landing", "KR", path, settings).passed
    write_landed()
    folder = settings.members_dir / "kr"
    folder.mkdir(parents=True)
    (folder / "expectations.yaml").write_text(
        "landing: {declaration_items: {row_count: {minimum: 101, reason: a hundred is too few}}}\n"
    )
    assert not run_gate("landing", "KR", path, settings).passed


def test_a_rerun_does_not_pile_up_pages(write_landed: Writer, settings: Settings) -> None:
    path = write_landed()
    for _ in range(2):
        result = run_gate("landing", "KR", path, settings)
        (settings.paths.gates / "landing" / "KR.json").unlink()
    pages = list((settings.paths.data_docs / "validations").rglob("*.html"))
    assert pages == [result.data_docs_path]


def test_pages_are_bounded_and_the_newest_stay(
    write_landed: Writer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PAGES_KEPT", 2)
    results = [
        run_gate("landing", "KR", write_landed(rows=rows), settings, scope=f"extract{rows}")
        for rows in (1, 2, 3)
    ]
    assert [result.data_docs_path.is_file() for result in results] == [False, True, True]
    index = (settings.paths.data_docs / "index.html").read_text()
    assert [f"extract{rows}-" in index for rows in (1, 2, 3)] == [False, True, True]


def test_a_refusal_without_its_page_is_judged_again(write_landed: Writer, settings: Settings) -> None:
    path = write_landed({"hs6": "'x'"})
    run_gate("landing", "KR", path, settings).data_docs_path.unlink()
    again = run_gate("landing", "KR", path, settings)
    assert not again.is_reused
    assert again.data_docs_path.is_file()


def test_verdicts_can_be_looked_up(write_landed: Writer, settings: Settings) -> None:
    assert load_verdict("landing", "KR", settings) is None
    assert not is_accepted("landing", "KR", settings)
    good = run_gate("landing", "KR", write_landed(name="good.parquet"), settings, scope="aaa")
    run_gate("landing", "KR", write_landed({"hs6": "'x'"}, name="bad.parquet"), settings, scope="bbb")
    assert load_verdict("landing", "KR", settings, scope="aaa") == good
    assert is_accepted("landing", "KR", settings, scope="aaa")
    assert not is_accepted("landing", "KR", settings, scope="bbb")
    assert not is_accepted("landing", "KR", settings)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 0}'])
def test_an_unreadable_verdict_is_no_verdict(settings: Settings, text: str) -> None:
    path = settings.paths.gates / "landing" / "KR.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert load_verdict("landing", "KR", settings) is None


def test_gates_of_several_members_may_run_in_threads(write_landed: Writer, settings: Settings) -> None:
    members = ("KR", "XA", "XB", "XC")
    paths = {
        member: write_landed({"member_iso2": f"'{member}'"}, name=f"{member}.parquet", rows=position + 1)
        for position, member in enumerate(members)
    }
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda member: run_gate("landing", member, paths[member], settings), members))
    assert [result.rows["declaration_items"] for result in results] == [1, 2, 3, 4]
    assert all(result.passed and result.data_docs_path.is_file() for result in results)
    index = (settings.paths.data_docs / "index.html").read_text()
    assert all(f"landing.declaration_items.{member}" in index for member in members)
