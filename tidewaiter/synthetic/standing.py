"""Tables that do not come chunk by chunk: the roster, the tariff, exchange rates."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tidewaiter.synthetic.officers import OFF, SHIFTS, TEAMS
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.tables import coded


def roster(setting: Setting) -> pa.Table:
    """Return who is on duty on each day of the period, and on the night before it."""
    officers, request = setting.officers, setting.request
    days = int(request.end_day.astype(np.int64)) - officers.first_day
    place, inspector = np.nonzero(officers.shift[:, :days].T != OFF)
    day = officers.first_day + place
    shift, office = officers.shift[inspector, place], officers.office[inspector]
    begins, ends = officers.bounds_s(office, day, shift)
    return pa.table(
        {
            "office_code": coded(office, [one.code for one in request.profile.offices]),
            "duty_date": pa.array(day.astype("datetime64[D]")),
            "shift_code": coded(shift, SHIFTS),
            "inspector": pa.array(inspector),
            "team_code": coded(officers.team[inspector], TEAMS),
            "from_s": pa.array(begins),
            "to_s": pa.array(ends),
        }
    )


def tariff(setting: Setting) -> pa.Table:
    """Return rates by national code: for all origins before and after the change, and the preference."""
    rates, goods = setting.tariff, setting.goods
    before, after = rates.rate_pct
    is_changed = before != after
    first, change = setting.request.first_day, rates.changes_on
    size = goods.hs6.size
    code = np.concatenate([np.arange(size), np.flatnonzero(is_changed), np.arange(size)])
    changed = int(is_changed.sum())
    valid_from = np.concatenate([np.full(size, first), np.full(changed, change), np.full(size, first)])
    last_before = np.where(is_changed, change - 1, np.datetime64("NaT", "D"))
    open_ended = np.full(changed + size, np.datetime64("NaT", "D"))
    kind = np.concatenate([np.zeros(size + changed, dtype=np.int64), np.ones(size, dtype=np.int64)])
    return pa.table(
        {
            "hs_national": coded(code, goods.hs_national),
            "origin_group": coded(kind, ("ALL", "FTA")),
            "preference": coded(kind, ("MFN", "FTA")),
            "valid_from": pa.array(valid_from),
            "valid_to": pa.array(np.concatenate([last_before, open_ended])),
            "rate_pct": pa.array(np.concatenate([before, after[is_changed], np.zeros(size)])),
        }
    )


def exchange_rates(setting: Setting) -> pa.Table:
    """Return the rates as published."""
    return pa.table(
        {"valid_from": setting.rates.valid_from, "units_per_usd": pa.array(setting.rates.units_per_usd)}
    )
