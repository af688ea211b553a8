"""D5: a gap that grows with duty is found, one that does not is not, hubs of a partner play no part."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from ml.integrity.periods import Period


def flows(random: np.random.Generator, gradient: float) -> list[dict[str, Any]]:
    """Two partners, one of which records half as much of everything."""
    found = []
    for number in range(80):
        rate = (0.0, 5.0, 10.0, 20.0, 35.0)[number // 4 % 5]
        for partner, record in (("CN", 0.5), ("DE", 1.0)):
            gap = np.log(record) + gradient * rate / 100 + random.normal(0, 0.05)
            found.append(
                {
                    "member_iso2": "XA",
                    "month": date(2024, 1, 1),
                    "classification_code": "H5",
                    "hs6": f"61{number // 4:02d}{number % 4:02d}",
                    "partner_code": partner,
                    "own_cif_value_usd": 1e6,
                    "own_fob_value_usd": None,
                    "own_net_kg": 1e5,
                    "partner_fob_value_usd": 1e6 * np.exp(gap),
                    "partner_net_kg": 1e5,
                    "duty_rate_pct": rate,
                }
            )
    return found


@pytest.mark.parametrize("gradient", [0.0, 0.8])
def test_a_gap_that_grows_with_duty_is_found_and_measured(marts: Any, compute: Any, gradient: float) -> None:
    marts.write("integrity_mirror_flows", flows(np.random.default_rng(1), gradient))
    found = {row["unit_id"]: row for row in compute("D5", Period(date(2024, 1, 1), date(2024, 12, 31)))}
    assert set(found) == {"61", "all chapters"}
    for row in found.values():
        assert row["support"] == 80
        assert (row["p_value"] < 1e-6) is (gradient > 0)
        assert row["effect_low"] - 0.02 < gradient < row["effect_high"] + 0.02
