"""The world as two Arrow tables: `extract` columns that a customs system could know, and the truth.

The two never share a table, so that a dialect cannot write what customs does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tidewaiter.synthetic.control import (
    LANES,
    ControlledDeclarations,
    Outcomes,
    control,
    examine,
)
from tidewaiter.synthetic.goods import Commodities, draw_tariff, load_commodities
from tidewaiter.synthetic.irregularities import HONEST, SCENARIOS, DeclaredItems, declare
from tidewaiter.synthetic.profiles import Request
from tidewaiter.synthetic.rates import ExchangeRates, draw_rates
from tidewaiter.synthetic.traffic import (
    NOBODY,
    Declarations,
    Parties,
    TrueItems,
    draw_declarations,
    draw_items,
    draw_parties,
)


@dataclass(frozen=True)
class World:
    """One member's world, drawn.

    Attributes:
        extract: One row per goods line, as the member's system knows it at the end of the period.
            Instants (`*_s`) are local seconds since 1970-01-01, amounts in the member's currency.
        truth: One row per goods line: scenario and true goods.
        rates: The member's exchange rates.
    """

    extract: pa.Table
    truth: pa.Table
    rates: ExchangeRates


def draw_world(request: Request) -> World:
    """Draw everything in causal order."""
    goods = load_commodities()
    tariff = draw_tariff(request, goods)
    rates = draw_rates(request)
    parties = draw_parties(request, goods)
    declarations = draw_declarations(request, parties)
    true = draw_items(request, goods, tariff, parties, declarations)
    declared = declare(request, goods, tariff, parties, declarations, true)
    controlled = control(request, goods, parties, declarations, true, declared)
    outcomes = examine(request, true, declared, controlled)
    extract = _header_columns(request, declarations, controlled, true)
    extract |= _item_columns(goods, rates, declarations, true, declared)
    extract |= _outcome_columns(rates, declarations, controlled, true, outcomes)
    return World(
        extract=pa.table(extract),
        truth=pa.table(_truth_columns(goods, parties, declarations, true, declared)),
        rates=rates,
    )


def _header_columns(
    request: Request, declarations: Declarations, controlled: ControlledDeclarations, true: TrueItems
) -> dict[str, pa.Array]:
    of = true.declaration
    end_s = int(request.end_day.astype("datetime64[s]").astype(np.int64))
    released = controlled.released_s[of]
    inspector = controlled.inspector[of]
    offices = np.array(request.profile.office_codes)
    return {
        "row_no": pa.array(np.arange(of.size)),
        "office_code": pa.array(offices[declarations.office[of]]),
        "serial": pa.array(_serials(declarations)[of]),
        "item_no": pa.array(true.item_no),
        "registered_s": pa.array(declarations.registered_s[of]),
        "lane_s": pa.array(controlled.lane_s[of]),
        "assigned_s": pa.array(controlled.assigned_s[of], mask=inspector == NOBODY),
        "released_s": pa.array(released, mask=released >= end_s),
        "importer": _entities(declarations.importer[of]),
        "declarant": _entities(declarations.declarant[of]),
        "seller": _entities(declarations.seller[of]),
        "courier": _entities(declarations.courier[of]),
        "dispatch_iso2": pa.array(declarations.dispatch_iso2[of]),
        "lane_code": pa.array(LANES[controlled.lane[of]]),
        "is_random": pa.array(controlled.is_random[of]),
        "is_inspected": pa.array(controlled.is_inspected[of]),
        "inspector": _entities(inspector),
    }


def _item_columns(
    goods: Commodities,
    rates: ExchangeRates,
    declarations: Declarations,
    true: TrueItems,
    declared: DeclaredItems,
) -> dict[str, pa.Array]:
    units = rates.at(declarations.registered_s[true.declaration])
    return {
        "hs6": pa.array(goods.hs6[declared.commodity]),
        "origin_iso2": pa.array(declared.origin_iso2),
        "is_preferential": pa.array(declared.is_preferential),
        "net_kg": pa.array(declared.net_kg),
        "gross_kg": pa.array(declared.gross_kg),
        "declared_value": pa.array(declared.value_usd * units),
        "rate_pct": pa.array(declared.rate_pct),
        "declared_tax": pa.array(declared.tax_usd * units),
    }


def _outcome_columns(
    rates: ExchangeRates,
    declarations: Declarations,
    controlled: ControlledDeclarations,
    true: TrueItems,
    outcomes: Outcomes,
) -> dict[str, pa.Array]:
    units = rates.at(declarations.registered_s[true.declaration])
    unknown = ~outcomes.is_labelled
    return {
        "finding_code": pa.array(outcomes.finding_code, mask=unknown),
        "assessed_value": pa.array(outcomes.assessed_value_usd * units),
        "recovered_tax": pa.array(outcomes.recovered_tax_usd * units, mask=unknown),
        "is_irregular": pa.array(outcomes.is_irregular, mask=unknown),
        "is_serious": pa.array(outcomes.is_serious, mask=unknown),
        "label_s": pa.array(outcomes.label_s, mask=unknown),
    }


def _truth_columns(
    goods: Commodities,
    parties: Parties,
    declarations: Declarations,
    true: TrueItems,
    declared: DeclaredItems,
) -> dict[str, pa.Array]:
    importer = declarations.importer[true.declaration]
    is_honest = declared.scenario == HONEST
    return {
        "item_no": pa.array(true.item_no),
        "scenario": pa.array(np.array(SCENARIOS)[declared.scenario], mask=is_honest),
        "is_irregular": pa.array(~is_honest),
        "is_bent_importer": pa.array((importer != NOBODY) & parties.is_bent[importer]),
        "true_hs6": pa.array(goods.hs6[true.commodity]),
        "true_origin_iso2": pa.array(true.origin_iso2),
        "true_value_usd": pa.array(true.value_usd),
        "true_net_kg": pa.array(true.net_kg),
        "true_rate_pct": pa.array(declared.true_rate_pct),
        "true_tax_usd": pa.array(declared.true_tax_usd),
        "declared_value_usd": pa.array(declared.value_usd),
        "declared_tax_usd": pa.array(declared.tax_usd),
        "ln_reference_price": pa.array(true.ln_reference_price),
    }


def _entities(number: np.ndarray) -> pa.Array:
    return pa.array(number, mask=number == NOBODY)


def _serials(declarations: Declarations) -> np.ndarray:
    """Registration numbers: from 1 within year and office, in order of time."""
    years = declarations.registered_s.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64)
    key = years * 1_000 + declarations.office
    order = np.argsort(key, kind="stable")
    _, starts, sizes = np.unique(key[order], return_index=True, return_counts=True)
    serials = np.empty(key.size, dtype=np.int64)
    serials[order] = np.arange(key.size) - np.repeat(starts, sizes) + 1
    return serials
