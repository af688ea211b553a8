from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from expectations.gate import run_gate
from expectations.limits import load_stage_limits
from tidewaiter.settings import Settings

Writer = Callable[..., Path]


def test_good_features_pass(write_features: Writer, settings: Settings) -> None:
    result = run_gate("features", "KR", write_features(), settings, expected_rows=100)
    assert (result.passed, result.failures, result.warnings) == (True, (), ())


def test_every_kind_of_bad_feature_is_refused(write_features: Writer, settings: Settings) -> None:
    path = write_features(
        {
            "profile__importer_rate": "case when i < 3 then 1.2 when i < 7 then 'nan'::double else 0.2 end",
            "price__ln_ratio_to_reference": "if(i < 5, 'nan'::double, 0.1)",
            "value__ln_value_usd": "if(i < 6, '-inf'::double, 4.6)",
            "declared_value_usd": "if(i < 2, 'inf'::double, 1)",
            "profile__importer_labelled_n": "if(i < 7, -1, 1)",
            "profile__hs6_items_n": "if(i < 8, null, 1)",
            "novelty__importer_days_since_first": "if(i < 9, -1, 1)",
            "registered_date": "if(i < 2, date '0220-01-01', date '2020-01-01')",
            "declaration_id": "if(i < 2, 'D', 'D' || i)",
            "value__is_value_zero": "if(i < 61, 2, 0)",
            "hs6": "if(i < 1, null, '070999')",
        }
    )
    result = run_gate("features", "KR", path, settings)
    found = sorted((failure.column, failure.unexpected_count) for failure in result.failures)
    assert found == [
        ("declared_value_usd", 2),
        ("hs6", 1),
        ("member_iso2, declaration_id, item_no", 2),
        ("novelty__importer_days_since_first", 9),
        ("price__ln_ratio_to_reference", 5),
        ("profile__hs6_items_n", 8),
        ("profile__importer_labelled_n", 7),
        ("profile__importer_rate", 7),
        ("registered_date", 2),
        ("value__is_value_zero", 61),
        ("value__ln_value_usd", 6),
    ]


def test_a_large_shift_of_the_latest_month_is_reported(
    write_features: Writer, settings: Settings, tmp_path: Path
) -> None:
    """Not one of an earlier month, of another member, or of a feature that moves by itself."""
    drift = tmp_path / "feature_drift.parquet"
    shares = ("null_share", "reference_null_share")
    columns = load_stage_limits("features").tables["feature_drift"].columns
    typed = ", ".join(
        f"cast({'0.5' if name in shares else name} as {kind}) as {name}"
        if name in (*shares, "member_iso2", "month", "feature", "is_watched", "is_latest", "verdict")
        else f"cast(1 as {kind}) as {name}"
        for name, kind in columns.items()
    )
    duckdb.sql(
        f"""
        select {typed} from (values
            ('KR', '2024-02-01', 'tax__rate_pct', true, true, 'large shift'),
            ('KR', '2024-02-01', 'price__robust_z', true, true, 'moderate shift'),
            ('KR', '2024-02-01', 'profile__hs6_items_n', false, true, 'large shift'),
            ('KR', '2024-01-01', 'tax__rate_pct', true, false, 'large shift'),
            ('XA', '2024-02-01', 'tax__rate_pct', true, true, 'large shift')
        ) as rows (member_iso2, month, feature, is_watched, is_latest, verdict)
        """
    ).write_parquet(str(drift))
    tables = {"declaration_item_features": write_features(), "feature_drift": drift}
    result = run_gate("features", "KR", tables, settings)
    assert result.passed
    assert [(one.table, one.column, one.unexpected_count) for one in result.warnings] == [
        ("feature_drift", "verdict", 1)
    ]


def test_only_the_members_own_rows_are_judged(write_features: Writer, settings: Settings) -> None:
    path = write_features(
        {
            "member_iso2": "if(i < 40, 'XA', 'KR')",
            "profile__importer_rate": "if(i < 40, 9, 0.1)",
        }
    )
    assert run_gate("features", "KR", path, settings, expected_rows=60).passed
    refused = run_gate("features", "XA", path, settings, expected_rows=40)
    assert [failure.unexpected_count for failure in refused.failures] == [40]


def test_a_renamed_feature_family_is_noticed(write_features: Writer, settings: Settings) -> None:
    result = run_gate(
        "features", "KR", write_features(without=("novelty__importer_days_since_first",)), settings
    )
    assert [failure.column for failure in result.failures] == ["novelty__*days*"]
    assert [failure.column for failure in result.warnings] == ["novelty__importer*"]


def test_a_missing_key_column_is_a_refusal(write_features: Writer, settings: Settings) -> None:
    result = run_gate("features", "KR", write_features(without=("member_iso2",)), settings)
    assert [failure.column for failure in result.failures] == ["member_iso2"]


def test_a_feature_with_a_hostile_name_is_still_checked(write_features: Writer, settings: Settings) -> None:
    name = 'x" ; drop table "t {batch} :b'
    path = write_features(added={name: ("if(i < 3, 'nan'::double, 1)", "DOUBLE")})
    result = run_gate("features", "KR", path, settings)
    assert [(failure.column, failure.unexpected_count) for failure in result.failures] == [(name, 3)]


def test_good_scores_pass(write_scores: Writer, settings: Settings) -> None:
    result = run_gate("scores", "KR", write_scores(), settings, expected_rows=100)
    assert (result.passed, result.failures, result.warnings) == (True, (), ())


def test_every_kind_of_bad_score_is_refused(write_scores: Writer, settings: Settings) -> None:
    path = write_scores(
        {
            "probability": "case when i < 3 then 1.01 when i < 5 then null else 0.5 end",
            "score": "if(i < 4, 'nan'::double, 0.5)",
            "expected_recovery_usd": "case when i < 5 then -1 when i < 6 then 'inf'::double else 1 end",
            "rank_in_office_day": "greatest(99 - i, 0)",
            "suggested_lane_code": "if(i < 6, 'PINK', 'RED')",
            "model_version": "if(i < 7, '2', '3')",
            "reason_1": "null",
            "reason_2": "if(i < 8, 'a', null)",
            "declaration_id": "if(i < 2, 'D', 'D' || i)",
            "member_iso2": "if(i = 9, 'XA', 'KR')",
            "run_id": "'today'",
        }
    )
    result = run_gate("scores", "KR", path, settings)
    found = sorted((failure.column, str(failure.unexpected_count)) for failure in result.failures)
    assert found == [
        ("expected_recovery_usd", "6"),
        ("member_iso2", "1"),
        ("member_iso2, declaration_id, item_no", "2"),
        ("model_version", "None"),
        ("probability", "2"),
        ("probability", "3"),
        ("rank_in_office_day", "1"),
        ("reason_1", "100"),
        ("reason_1, reason_2, reason_3", "8"),
        ("run_id", "100"),
        ("score", "4"),
        ("suggested_lane_code", "6"),
    ]


def test_a_rank_given_twice_is_refused(write_scores: Writer, settings: Settings) -> None:
    result = run_gate("scores", "KR", write_scores({"rank_in_office_day": "greatest(99 - i, 1)"}), settings)
    assert [(failure.column, failure.unexpected_count) for failure in result.failures] == [
        ("office_code, registered_date, rank_in_office_day", 2)
    ]


def test_an_item_that_was_not_scored_is_noticed(write_scores: Writer, settings: Settings) -> None:
    result = run_gate("scores", "KR", write_scores(rows=99), settings, expected_rows=100)
    assert [failure.observed for failure in result.failures] == ["99 rows"]


def test_what_a_member_does_not_send_may_be_empty(write_features: Writer, settings: Settings) -> None:
    """Without mass and rates of exchange: what is made of them is null throughout, and no fault."""
    empty = {"value__ln_value_usd": "cast(null as double)", "declared_value_usd": "cast(null as double)"}
    path = write_features(empty)
    refused = run_gate("features", "KR", path, settings)
    assert {failure.column for failure in refused.failures} == set(empty)
    rates = "exchange_rates.units_per_usd"
    assert not run_gate("features", "KR", path, settings, not_sent=("net_kg",)).passed
    passed = run_gate("features", "KR", path, settings, not_sent=("net_kg", rates))
    assert (passed.passed, passed.failures) == (True, ())
