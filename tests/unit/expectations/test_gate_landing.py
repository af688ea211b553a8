from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from expectations.gate import run_gate
from expectations.verdicts import Failure
from tidewaiter.errors import ExitCode, GateRefused, TidewaiterError
from tidewaiter.settings import Settings

Writer = Callable[..., Path]


def _only(failures: tuple[Failure, ...]) -> Failure:
    assert len(failures) == 1, failures
    return failures[0]


def test_good_rows_pass_with_a_page(write_landed: Writer, settings: Settings) -> None:
    rates = write_landed(dataset="exchange_rates", name="rates.parquet", changed={"extract_id": "'ba'"})
    result = run_gate(
        "landing", "KR", {"declaration_items": [write_landed()], "exchange_rates": rates}, settings
    )
    assert (result.passed, result.failures, result.warnings) == (True, (), ())
    assert result.rows == {"declaration_items": 100, "exchange_rates": 100}
    assert result.data_docs_path.is_file()
    assert (settings.paths.data_docs / "index.html").is_file()
    result.raise_if_refused()


def test_every_kind_of_bad_row_is_refused_by_column_and_count(
    write_landed: Writer, settings: Settings
) -> None:
    path = write_landed(
        {
            "hs6": "case when i < 3 then null when i < 7 then '70999' when i < 9 then '0709990'"
            " else '070999' end",
            "dispatch_iso2": "case when i < 5 then 'c''n' else 'CN' end",
            "assessed_value": "case when i < 6 then -1 else 1 end",
            "item_no": "case when i < 2 then 0 else 1 end",
            "lane_final_code": "case when i < 7 then 'red''; drop' else 'RED' end",
            "registered_at": "case when i < 4 then timestamp '1970-01-01' else timestamp '2020-01-01' end",
            "declaration_id": "'D' || greatest(i, 12)",
            "member_iso2": "case when i < 8 then 'XA' else 'KR' end",
            "net_kg": "case when i < 9 then 21 else 10 end",
            "label_at": "case when i < 1 then null else timestamp '2020-02-01' end",
            "source_line": "nullif(i, 4)",
            "declared_value": "case when i < 11 then 0 else 1 end",
            "origin_iso2": "case when i < 21 then null else 'CN' end",
        }
    )
    result = run_gate("landing", "KR", path, settings)
    assert not result.passed
    assert {failure.total_count for failure in result.failures} == {100}
    found = [(failure.column, failure.unexpected_count, failure.expectation) for failure in result.failures]
    assert sorted(found) == sorted(
        [
            ("hs6", 3, "expect_column_values_to_not_be_null"),
            ("hs6", 6, "unexpected_rows_expectation"),
            ("dispatch_iso2", 5, "unexpected_rows_expectation"),
            ("assessed_value", 6, "expect_column_values_to_be_between"),
            ("item_no", 2, "expect_column_values_to_be_between"),
            ("lane_final_code", 7, "expect_column_values_to_be_in_set"),
            ("registered_at", 4, "expect_column_values_to_be_between"),
            # The item numbers 0 and 1 and the members XA and KR split the thirteen rows of D12.
            (
                "member_iso2, declaration_id, item_no, item_version, extract_id",
                13,
                "expect_compound_columns_to_be_unique",
            ),
            ("member_iso2", 8, "expect_column_values_to_be_in_set"),
            ("net_not_above_gross", 9, "unexpected_rows_expectation"),
            ("label_has_instant", 1, "unexpected_rows_expectation"),
            ("source_line", 1, "expect_column_values_to_not_be_null"),
            ("declared_value", 11, "expect_column_values_to_not_be_in_set"),
            ("origin_iso2", 21, "expect_column_values_to_not_be_null"),
        ]
    )


def test_rows_at_the_limit_pass(write_landed: Writer, settings: Settings) -> None:
    path = write_landed(
        {
            "declared_value": "case when i < 10 then 0 else 1 end",
            "origin_iso2": "case when i < 20 then null else 'CN' end",
        }
    )
    assert run_gate("landing", "KR", path, settings).passed


def test_quoted_values_are_data(write_landed: Writer, settings: Settings) -> None:
    hostile = """'o''brien"; drop table x; {batch} :name %(x)s <script>' || i"""
    path = write_landed({"declaration_id": hostile, "office_code": hostile}, name='it\'s {a} "file".parquet')
    assert run_gate("landing", "KR", path, settings).passed


def test_missing_mistyped_and_additional_columns_are_named(write_landed: Writer, settings: Settings) -> None:
    path = write_landed(without=("hs6",), types={"item_no": "VARCHAR"})
    result = run_gate("landing", "KR", path, settings)
    assert {failure.column: failure.observed for failure in result.failures} == {
        "hs6": "missing, expected VARCHAR",
        "item_no": "is VARCHAR, expected INTEGER",
    }


def test_empty_table_is_refused(write_landed: Writer, settings: Settings) -> None:
    result = run_gate("landing", "KR", write_landed(rows=0), settings)
    counted = [failure for failure in result.failures if failure.column == "(table)"]
    assert _only(tuple(counted)).observed == "0 rows"


def test_wrong_count_is_refused(write_landed: Writer, settings: Settings) -> None:
    result = run_gate("landing", "KR", write_landed(), settings, expected_rows=101)
    failure = _only(result.failures)
    assert (failure.observed, failure.expected) == ("100 rows", "exactly 101 rows")


def test_the_same_item_may_come_again_in_another_extract(write_landed: Writer, settings: Settings) -> None:
    first = write_landed(name="first.parquet")
    second = write_landed({"extract_id": "'ba9876543210'"}, name="second.parquet")
    assert run_gate("landing", "KR", {"declaration_items": [first, second]}, settings).passed


def test_warnings_pass_and_are_reported(write_landed: Writer, settings: Settings) -> None:
    result = run_gate("landing", "KR", write_landed({"tax_rate_pct": "null"}), settings)
    assert result.passed
    assert _only(result.warnings).column == "tax_rate_pct"
    result.raise_if_refused()


def test_a_member_has_its_own_limits(write_landed: Writer, settings: Settings) -> None:
    folder = settings.members_dir / "kr"
    folder.mkdir(parents=True)
    (folder / "expectations.yaml").write_text(
        "landing: {declaration_items: {max_zero_share:"
        " [{columns: [declared_value], share: 1.0, reason: only samples are sent}],"
        " newest: [{columns: [registered_date], not_before: 2020-02-01, reason: daily feed}]}}\n"
    )
    result = run_gate("landing", "KR", write_landed({"declared_value": "0"}), settings)
    assert _only(result.failures).column == "registered_date"


def test_refusal_names_everything_and_shows_no_values(write_landed: Writer, settings: Settings) -> None:
    secret = "SECRET-4711"
    path = write_landed(
        {
            "lane_final_code": f"case when i < 3 then '{secret}' else 'RED' end",
            "hs6": f"case when i < 2 then '{secret}' else '070999' end",
            "declaration_id": f"'{secret}'",
        }
    )
    result = run_gate("landing", "KR", path, settings)
    with pytest.raises(GateRefused) as refused:
        result.raise_if_refused()
    text = str(refused.value)
    assert refused.value.exit_code is ExitCode.GATE_REFUSED
    assert len(refused.value.problems) == len(result.failures) == 3
    for part in ("KR", "landing.declaration_items", "lane_final_code: 3 of 100 rows", "hs6: 2 of 100 rows"):
        assert part in text
    assert str(result.data_docs_path) in text
    assert "ingest again" in text
    written = [found for found in settings.home.rglob("*") if found.suffix in (".json", ".html", ".j2")]
    assert len(written) >= 5
    assert not [found for found in [text, *(page.read_text() for page in written)] if secret in found]


def test_a_check_that_cannot_be_evaluated_refuses_without_values(
    write_landed: Writer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from expectations import gate, limits

    rule = limits.RuleLimit(
        name="broken", columns=("office_code",), check="office_code::integer > 0", reason="a rule that breaks"
    )
    loaded = limits.load_stage_limits("landing")
    table = loaded.tables["declaration_items"].model_copy(update={"rules": (rule,)})
    changed = loaded.model_copy(update={"tables": loaded.tables | {"declaration_items": table}})
    monkeypatch.setattr(gate, "load_limits", lambda *_: changed)
    result = run_gate("landing", "KR", write_landed({"office_code": "'SECRET-4711'"}), settings)
    assert _only(result.failures).observed == "could not be evaluated"
    pages = [page.read_text() for page in settings.home.rglob("*") if page.suffix in (".json", ".html")]
    assert not [text for text in [caplog.text, *pages] if "SECRET-4711" in text]


def test_missing_and_unreadable_files_are_errors_not_verdicts(
    write_landed: Writer, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(TidewaiterError, match=r"did you mean 'declaration_items'.*\n.*no such file"):
        run_gate(
            "landing", "KR", {"declaration_item": write_landed(), "exchange_rates": tmp_path / "x"}, settings
        )
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet")
    with pytest.raises(TidewaiterError, match="cannot be read"):
        run_gate("landing", "KR", broken, settings)
    assert not (settings.paths.gates / "landing").exists()


def test_pages_load_nothing_from_elsewhere(write_landed: Writer, settings: Settings) -> None:
    import re

    run_gate("landing", "KR", write_landed({"hs6": "'x'"}), settings)
    pages = list(settings.paths.data_docs.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text()
        assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:)?//|url\(\s*['\"]?https?:|<script", text)
        assert "default-src 'none'" in text


def test_verdict_is_plain_json(write_landed: Writer, settings: Settings) -> None:
    run_gate("landing", "KR", write_landed(), settings)
    value = json.loads((settings.paths.gates / "landing" / "KR.json").read_text())
    assert value["passed"] is True
    assert not Path(value["data_docs_path"]).is_absolute()


def test_items_may_wait_for_what_their_header_brings_and_others_may_not(
    write_landed: Writer, settings: Settings
) -> None:
    missing = {"importer_id": "null", "declarant_id": "null", "office_code": "null"}
    apart = write_landed(missing | {"is_header_apart": "true"}, name="apart.parquet")
    assert run_gate("landing", "KR", apart, settings).failures == ()
    whole = write_landed(missing | {"is_header_apart": "i >= 40"}, name="whole.parquet")
    refused = run_gate("landing", "KR", whole, settings).failures
    assert sorted((failure.column, failure.unexpected_count) for failure in refused) == [
        ("declarant_id", 40),
        ("importer_id", 40),
        ("office_code_where_header_is_not_apart", 40),
    ]


def test_a_column_that_is_not_sent_may_be_empty(write_landed: Writer, settings: Settings) -> None:
    path = write_landed({"net_kg": "null", "declarant_id": "null", "importer_id": "null"})
    refused = run_gate("landing", "KR", path, settings, not_sent=("net_kg", "declarant_id"))
    assert [failure.column for failure in refused.failures] == ["importer_id"]
    everything = run_gate("landing", "KR", path, settings, not_sent=("net_kg", "declarant_id", "importer_id"))
    assert everything.passed
