"""From a drawn chunk to Arrow tables: what a customs system could know, and the truth.

The two never share a table, so that a dialect cannot write what customs does not know. Instants (`*_s`)
are local seconds since 1970-01-01, amounts in the member's currency; entities are numbers, which each
dialect spells in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tidewaiter.synthetic.columns import NOBODY, spread
from tidewaiter.synthetic.declaring import CONFORM, FINDINGS, HONEST, SCENARIOS
from tidewaiter.synthetic.examination import AUDIT_RANDOM
from tidewaiter.synthetic.goods import COUNTRIES
from tidewaiter.synthetic.officers import SHIFTS, SUPERVISORS_PER_OFFICE, TEAMS
from tidewaiter.synthetic.resubmission import NEVER
from tidewaiter.synthetic.selectivity import LANES, REASONS, SOURCES
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.traffic import SEA
from tidewaiter.synthetic.world import DrawnChunk

# Codes of container owners (ISO 6346); invented ones, with the U of freight containers.
OWNERS = ("TWDU", "SYNU", "XWAU", "QTZU")


@dataclass(frozen=True)
class ChunkTables:
    """Tables of one chunk.

    Attributes:
        headers: One row per declaration, `declaration` its place in the chunk.
        items: One row per goods line, header columns repeated.
        truth: One row per goods line, in the order of `items`.
    """

    headers: pa.Table
    items: pa.Table
    truth: pa.Table


def to_tables(setting: Setting, drawn: DrawnChunk) -> ChunkTables:
    """Lay a chunk out in columns."""
    of = spread(drawn.batch.declarations.lines)
    headers = pa.table(_header_columns(setting, drawn))
    repeated = headers.take(pa.array(of))
    items = _item_columns(setting, drawn, of) | _outcome_columns(setting, drawn, of)
    for name, column in items.items():
        repeated = repeated.append_column(name, column)
    return ChunkTables(headers=headers, items=repeated, truth=pa.table(_truth_columns(setting, drawn, of)))


def coded(
    index: np.ndarray, words: Sequence[str] | np.ndarray, is_null: np.ndarray | None = None
) -> pa.Array:
    """Return words by index, stored once each."""
    indices = pa.array(index.astype(np.int32), mask=is_null)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(words), pa.string()))


def instants(local_s: np.ndarray, end_s: int, is_null: np.ndarray | None = None) -> pa.Array:
    """Return instants; null where nothing happens, or not before the extract is made."""
    unknown = (local_s == NEVER) | (local_s >= end_s)
    return pa.array(local_s, mask=unknown if is_null is None else unknown | is_null)


def container_check_digits(owner: np.ndarray, serial: np.ndarray) -> np.ndarray:
    """Return the check digits of container numbers by ISO 6346.

    Letters count 10, 12, 13, ... without multiples of 11, each place doubles, the sum is taken modulo
    11, and 10 counts as 0.
    """
    values = [value for value in range(10, 39) if value % 11]
    letters = [sum(values[ord(letter) - 65] * 2**place for place, letter in enumerate(one)) for one in OWNERS]
    total = np.array(letters)[owner]
    for place in range(6):
        total = total + serial // 10 ** (5 - place) % 10 * 2 ** (4 + place)
    digits: np.ndarray = total % 11 % 10
    return digits


def _header_columns(setting: Setting, drawn: DrawnChunk) -> dict[str, pa.Array]:
    request = setting.request
    declarations, selected = drawn.batch.declarations, drawn.selected
    assigned, cleared, end_s = drawn.assigned, drawn.cleared, request.end_s
    size = len(declarations)
    unassigned = ~assigned.is_assigned
    is_sea = declarations.mode == SEA
    owner = declarations.document % len(OWNERS)
    container = declarations.document // 7 % 1_000_000
    registered = declarations.registered_s.astype("datetime64[s]")
    year = registered.astype("datetime64[Y]").astype(np.int64) + 1970
    supervisors = declarations.office * SUPERVISORS_PER_OFFICE
    overridden = selected.override_by != NOBODY
    act_day, act_shift = setting.officers.shift_at(declarations.office, cleared.act_s)
    is_on = setting.officers.is_on(assigned.last, act_day, act_shift)
    return {
        "declaration": pa.array(np.arange(size)),
        "office": pa.array(declarations.office),
        "office_code": coded(declarations.office, [one.code for one in request.profile.offices]),
        "year": pa.array(year),
        "serial": pa.array(drawn.serial),
        "registered_s": pa.array(declarations.registered_s),
        "lane_s": pa.array(selected.lane_s),
        "assigned_s": instants(assigned.assigned_s, end_s, unassigned),
        "act_s": instants(cleared.act_s, end_s),
        "released_s": instants(cleared.released_s, end_s),
        "cancelled_s": instants(drawn.cancelled.cancelled_s, end_s),
        "importer": entities(declarations.importer),
        "declarant": entities(declarations.declarant),
        "seller": entities(declarations.seller),
        "courier": entities(declarations.courier),
        "is_operator": pa.array(np.isin(declarations.importer, setting.cast.operators)),
        "dispatch_iso2": coded(declarations.dispatch, COUNTRIES),
        "mode": pa.array(declarations.mode),
        "document": pa.array(declarations.document),
        "container_owner": coded(owner, OWNERS, ~is_sea),
        "container_serial": pa.array(container, mask=~is_sea),
        "container_check": pa.array(container_check_digits(owner, container), mask=~is_sea),
        "lane_code": coded(selected.lane_initial, LANES),
        "lane_final_code": coded(selected.lane_final, LANES),
        "source_code": coded(selected.source, SOURCES, selected.source == SOURCES.index("NONE")),
        "override_s": instants(selected.override_s, end_s, ~overridden),
        "override_supervisor": pa.array(supervisors + selected.override_by, mask=~overridden),
        "override_reason": coded(selected.override_reason, REASONS, ~overridden),
        "queue_code": coded(assigned.team, TEAMS, unassigned),
        "shift_code": coded(assigned.shift, SHIFTS, unassigned),
        "act_shift_code": coded(act_shift, SHIFTS, unassigned | ~is_on),
        "inspector_first": pa.array(assigned.first, mask=unassigned),
        "inspector_last": pa.array(assigned.last, mask=unassigned),
        "reassigned_s": instants(assigned.reassigned_s, end_s, unassigned),
        "reassigning_supervisor": pa.array(supervisors + assigned.supervisor, mask=unassigned),
        "audited_s": instants(cleared.audited_s, end_s),
        "audit_reason": coded((cleared.audit != AUDIT_RANDOM).astype(int), ("RANDOM", "TARGETED")),
    }


def _item_columns(setting: Setting, drawn: DrawnChunk, of: np.ndarray) -> dict[str, pa.Array]:
    true, declared = drawn.batch.true, drawn.batch.declared
    units = setting.rates.at(drawn.batch.declarations.registered_s)[of]
    value = declared.value_usd * units
    return {
        "item_no": pa.array(true.item_no),
        "hs6": coded(declared.commodity, setting.goods.hs6),
        "hs_national": coded(declared.commodity, setting.goods.hs_national),
        "origin_iso2": coded(declared.origin, COUNTRIES),
        "is_preferential": pa.array(declared.is_preferential),
        "is_relieved": pa.array(declared.is_relieved),
        "net_kg": pa.array(declared.net_kg),
        "gross_kg": pa.array(declared.gross_kg),
        "declared_value": pa.array(value),
        "freight": pa.array(value * true.freight_share),
        "insurance": pa.array(value * true.insurance_share),
        "rate_pct": pa.array(declared.rate_pct),
        "declared_tax": pa.array(declared.tax_usd * units),
    }


def _outcome_columns(setting: Setting, drawn: DrawnChunk, of: np.ndarray) -> dict[str, pa.Array]:
    outcomes, true, selected = drawn.outcomes, drawn.batch.true, drawn.selected
    units = setting.rates.at(drawn.batch.declarations.registered_s)[of]
    unknown = ~outcomes.is_labelled
    finding = np.where(outcomes.by_audit, outcomes.audit_finding, outcomes.finding)
    is_random = selected.source[of] == SOURCES.index("RANDOM")
    source = np.where(outcomes.by_audit, 2, np.where(is_random, 0, 1))
    return {
        "finding_code": coded(finding, FINDINGS, unknown),
        "act_finding_code": coded(outcomes.finding, FINDINGS, ~outcomes.is_examined),
        "audit_finding_code": coded(outcomes.audit_finding, FINDINGS, ~outcomes.is_audited),
        "assessed_value": pa.array(outcomes.assessed_value_usd * units),
        "recovered_tax": pa.array(outcomes.recovered_tax_usd * units, mask=unknown),
        "is_irregular": pa.array(outcomes.is_irregular, mask=unknown),
        "is_serious": pa.array(outcomes.is_serious, mask=unknown),
        "is_amended": pa.array((outcomes.finding != CONFORM) & outcomes.is_examined),
        "label_s": pa.array(outcomes.label_s, mask=unknown),
        "label_source_code": coded(source, ("RANDOM", "TARGETED", "PCA"), unknown),
        "amended_hs6": coded(true.commodity, setting.goods.hs6),
        "amended_origin_iso2": coded(true.origin, COUNTRIES),
        "amended_net_kg": pa.array(true.net_kg),
        "amended_value": pa.array(
            np.where(outcomes.is_irregular, outcomes.assessed_value_usd, drawn.batch.declared.value_usd)
            * units
        ),
    }


def _truth_columns(setting: Setting, drawn: DrawnChunk, of: np.ndarray) -> dict[str, pa.Array]:
    declarations, true, declared = drawn.batch.declarations, drawn.batch.true, drawn.batch.declared
    scenario, goods = declared.scenario, setting.goods
    consignee = declarations.consignee[of]
    pair = declarations.arranged_with[of]
    return {
        "item_no": pa.array(true.item_no),
        "scenario": coded(scenario, SCENARIOS, scenario == HONEST).dictionary_decode(),
        "is_irregular": pa.array(scenario != HONEST),
        "is_bent_importer": pa.array(setting.parties.is_bent[consignee]),
        "pair_no": pa.array(pair, mask=pair < 0),
        "is_diverted": pa.array(drawn.assigned.is_diverted[of]),
        "is_overridden_by_ring": pa.array(drawn.selected.is_ring[of]),
        "is_passed_over": pa.array(drawn.selected.is_passed_over[of]),
        "is_shopped": pa.array(drawn.cancelled.is_shopped[of]),
        "is_registered_again": pa.array(declarations.is_again[of]),
        "is_extorted": pa.array(drawn.outcomes.is_extorted),
        "true_hs6": coded(true.commodity, goods.hs6).dictionary_decode(),
        "true_origin_iso2": coded(true.origin, COUNTRIES).dictionary_decode(),
        "true_value_usd": pa.array(true.value_usd),
        "true_net_kg": pa.array(true.net_kg),
        "true_rate_pct": pa.array(declared.true_rate_pct),
        "true_tax_usd": pa.array(declared.true_tax_usd),
        "declared_value_usd": pa.array(declared.value_usd),
        "declared_tax_usd": pa.array(declared.tax_usd),
        "ln_reference_price": pa.array(true.ln_reference_price),
    }


def entities(number: np.ndarray) -> pa.Array:
    """Return entity numbers; null for nobody."""
    return pa.array(number, mask=number == NOBODY)
