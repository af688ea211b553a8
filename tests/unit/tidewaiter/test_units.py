"""Units: what a source counts in becomes the canonical unit, to the last digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidewaiter.canonical import DATASETS, load_dataset
from tidewaiter.canonical.units import load_measures, measure_of

SMALLEST = Decimal("0.0001")
HEADER = "id,item,registered,office,hs,importer,value,mass\n"


def masses(bench, contract_of, texts, unit, **extract):
    rows = "".join(f'K{n},1,2024-03-01,S,010121,,1,"{text}"\n' for n, text in enumerate(texts))
    contract = contract_of({"net_kg": {"column": "mass", "unit": unit}}, **extract)
    return bench.elsewhere().land(HEADER + rows, contract)


@pytest.mark.parametrize(
    ("unit", "text", "kg"),
    [
        ("t", "1.2345678", "1234.5678"),
        ("TNE", " 0.5 ", "500"),
        ("kg", "7", "7"),
        ("g", "1", "0.0010"),
        ("lb", "1", "0.4536"),  # 0.45359237
        ("lb", "1000000", "453592.37"),
        ("oz", "16", "0.4536"),
        ("quintal", "1e2", "10000"),
        ("long_ton", "1", "1016.0469"),
        ("mg", "50", "0.0001"),  # 0.00005, away from zero
    ],
)
def test_masses_become_kilograms(bench, contract_of, unit, text, kg):
    landed = masses(bench, contract_of, [text], unit)
    assert landed.column("net_kg") == [Decimal(kg)], landed.reasons


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    values=st.lists(st.decimals(0, 10**6, places=6), min_size=1, max_size=20),
    unit=st.sampled_from(sorted(load_measures()["mass"].units)),
)
def test_every_conversion_is_exact_and_rounded_once(session_bench, contract_of, values, unit):
    factor = load_measures()["mass"].units[unit].factor
    landed = masses(session_bench, contract_of, [f"{value:f}" for value in values], unit)
    expected = [(value * factor).quantize(SMALLEST, ROUND_HALF_UP) for value in values]
    # Nothing is left to round half away from zero when the source has fewer decimals than are kept.
    if factor == 1:
        expected = [value.quantize(SMALLEST, ROUND_HALF_UP) for value in values]
    assert landed.column("net_kg") == expected


def test_marks_of_the_source_are_read_before_the_unit(bench, contract_of):
    csv = {"kind": "csv", "decimal_mark": ",", "thousands_mark": "."}
    assert masses(bench, contract_of, ["1.234,5"], "t", format=csv).column("net_kg") == [Decimal(1234500)]


def test_what_is_no_number_or_too_large_goes_to_quarantine(bench, contract_of):
    landed = masses(bench, contract_of, ["x", "1_0", "99999999999999", "-1", ""], "t")
    assert landed.reasons == {
        2: ["net_kg: 'x' is not a decimal number"],
        3: ["net_kg: '1_0' is not a decimal number"],
        4: ["net_kg: '99999999999999' is not a decimal number"],
        5: ["net_kg: '-1' is below the minimum 0"],
    }
    assert landed.column("net_kg") == [None]


def test_money_and_percent_have_units_too(bench, contract_of):
    text = "id,item,registered,office,hs,importer,value,rate\nK,1,2024-03-01,S,010121,,12.5,0.05\n"
    fields = {
        "declared_value": {"column": "value", "unit": "thousand"},
        "tax_rate_pct": {"column": "rate", "unit": "fraction"},
    }
    (row,) = bench.land(text, contract_of(fields)).rows
    assert (row["declared_value"], row["tax_rate_pct"]) == (Decimal(12500), Decimal(5))


def test_an_expression_has_a_unit_as_well(bench, contract_of):
    fields = {"net_kg": {"expression": 'cast("mass" as double) / 2', "unit": "t"}}
    landed = bench.land(HEADER + "K,1,2024-03-01,S,010121,,1,3\n", contract_of(fields))
    assert landed.column("net_kg") == [Decimal(1500)]


@pytest.mark.parametrize(
    ("field", "mapping", "message"),
    [
        ("net_kg", {"column": "mass", "unit": "litre"}, "'net_kg' is in kg and takes no unit 'litre'"),
        ("net_kg", {"column": "mass", "unit": "thousand"}, "it takes kg, g, mg, t"),
        ("net_kg", {"column": "mass", "unit": "lbs"}, "did you mean 'lb'?"),
        ("hs6", {"column": "hs", "unit": "t"}, "'hs6' has no unit and is not converted"),
        (
            "registered_at",
            {"column": "registered", "unit": "t"},
            "'registered_at' is in UTC and is not converted",
        ),
        ("net_kg", {"constant": 1, "unit": "t"}, "the same on every row: write it in kg"),
        ("net_kg", {"column": "mass", "unit": "t", "codes": {"A": 1}}, "has codes"),
    ],
)
def test_a_unit_that_does_not_fit_is_named(contract_of, field, mapping, message):
    with pytest.raises(ValidationError, match="extracts") as raised:
        contract_of({field: mapping})
    assert message in str(raised.value)


def test_every_unit_of_the_canonical_model_is_known_or_none():
    """A new field with a unit is either convertible or of those that cannot be."""
    inconvertible = {"UTC", "local date", "currency units per USD"}
    for name in DATASETS:
        for field in load_dataset(name).fields:
            if field.type == "decimal" and field.unit and field.unit not in inconvertible:
                assert measure_of(field.unit) is not None, f"{name}.{field.name}: {field.unit}"
