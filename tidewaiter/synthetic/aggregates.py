"""Trade by month, commodity and partner: what the member publishes, and what partners say of it.

The member adds up what was declared. A partner's record is of the true goods, FOB, with noise, mostly in
the month before; goods that came by a hub stand in the hub's record where Z6 is on. So undervaluation
leaves a gap in value and none in mass, short weight a gap in both, and a hub a gap without any fraud.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tidewaiter.synthetic.columns import spread
from tidewaiter.synthetic.goods import COUNTRIES, HUBS
from tidewaiter.synthetic.resubmission import NEVER
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.tables import coded
from tidewaiter.synthetic.world import DrawnChunk

_MONTH_BEFORE_SHARE = 0.6  # of what a partner exports in a month arrives in the next (assumed)
_LEAST_USD = 50.0  # smaller cells are not published


class Flows:
    """Sums over a member's world, added chunk by chunk; memory does not grow with the items."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        shape = (setting.request.months, setting.goods.hs6.size, COUNTRIES.size)
        self._shape = shape
        self._own = np.zeros((4, *shape))  # value, FOB value, net, gross as declared
        self._partner = np.zeros((2, *shape))  # FOB value, net, truly; by whom the partner's record is

    def add(self, drawn: DrawnChunk) -> None:
        """Add a chunk; cancelled declarations are not counted."""
        of = spread(drawn.batch.declarations.lines)
        stands = (drawn.cancelled.cancelled_s == NEVER)[of]
        true, declared = drawn.batch.true, drawn.batch.declared
        month = drawn.chunk.month
        by_origin = self._cells(month, declared.commodity, declared.origin)
        fob = 1 - true.freight_share - true.insurance_share
        values = (declared.value_usd, declared.value_usd * fob, declared.net_kg, declared.gross_kg)
        for place, value in enumerate(values):
            self._add(self._own[place], by_origin, value * stands)
        seller = drawn.batch.declarations.dispatch[of]
        is_hub = np.isin(seller, HUBS)
        by_hub = is_hub & (self._setting.request.plan.decoys.Z6 is not None)
        reporter = np.where(by_hub, seller, true.origin)
        by_reporter = self._cells(month, true.commodity, reporter)
        self._add(self._partner[0], by_reporter, true.value_usd * fob * stands)
        self._add(self._partner[1], by_reporter, true.net_kg * stands)

    def own(self) -> pa.Table:
        """Return the member's imports: `month`, `hs6`, `partner_iso2`, values in USD, masses in kg."""
        value, fob, net, gross = self._own
        return self._table(
            value >= _LEAST_USD, cif_value_usd=value, fob_value_usd=fob, net_kg=net, gross_kg=gross
        )

    def mirror(self) -> pa.Table:
        """Return the partners' exports to the member: `month`, `hs6`, `partner_iso2` the reporter."""
        random = self._setting.request.stream("mirror")
        value, net = (self._shifted(sums) for sums in self._partner)
        noise = random.normal(0, self._setting.request.world.mirror_sigma, (2, *self._shape))
        value, net = value * np.exp(noise[0]), net * np.exp(noise[1])
        return self._table(value >= _LEAST_USD, fob_value_usd=value, net_kg=net)

    def _shifted(self, sums: np.ndarray) -> np.ndarray:
        earlier = np.zeros_like(sums)
        earlier[:-1] = sums[1:] * _MONTH_BEFORE_SHARE
        shifted: np.ndarray = earlier + sums * (1 - _MONTH_BEFORE_SHARE)
        return shifted

    def _cells(self, month: int, commodity: np.ndarray, country: np.ndarray) -> np.ndarray:
        cells: np.ndarray = (month * self._shape[1] + commodity) * self._shape[2] + country
        return cells

    def _add(self, sums: np.ndarray, cells: np.ndarray, values: np.ndarray) -> None:
        flat = sums.reshape(-1)
        flat += np.bincount(cells, values, minlength=flat.size)

    def _table(self, is_published: np.ndarray, **sums: np.ndarray) -> pa.Table:
        month, commodity, country = np.nonzero(is_published)
        first = self._setting.request.first_day.astype("datetime64[M]")
        columns = {
            "month": pa.array((first + month).astype("datetime64[D]")),
            "hs6": coded(commodity, self._setting.goods.hs6),
            "partner_iso2": coded(country, COUNTRIES),
        }
        return pa.table(columns | {name: pa.array(values[is_published]) for name, values in sums.items()})
