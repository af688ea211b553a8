"""What a synthetic member and its world are made of: every assumption as a number with a name.

Values marked "assumed" in the docstrings have no source beyond the project's own domain notes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np

from tidewaiter.errors import Problem, UsageProblem, closest

Generator = np.random.Generator


@dataclass(frozen=True)
class WorldParameters:
    """Strengths that all members share; shares are of items unless said otherwise (all assumed).

    Attributes:
        importer_zipf, declarant_zipf, commodity_zipf: Exponents of the rank-share laws.
        declarant_stickiness: Probability that an importer uses its usual declarant.
        incumbent_share: Importers that trade from the first day; the others enter evenly later.
        walk_in_share: Share of declarations without an importer number.
        courier_share: Share of declarations that come by express courier.
        price_sigma_homogeneous, price_sigma_differentiated: Standard deviation of ln price within
            HS6, origin and seller, after Rauch's classes.
        price_drift_per_year: Annual growth of ln price.
        bent_importer_share: Importers among whom irregularities concentrate.
        bent_weight: How much likelier an item of theirs is irregular than another's.
        undervaluation_share, hs_switch_share, origin_share, weight_share: True irregularity by
            scenario S1 to S4, before eligibility binds.
        sensitivity, specificity: Of an examination.
        random_share: Share of declarations drawn at random for the red lane.
        label_delay_median_d, label_delay_p95_d: Log-normal delay from release to label, in days.
        fault_share: Share of rows spoilt in the raw files.
    """

    importer_zipf: float = 1.1
    declarant_zipf: float = 0.8
    commodity_zipf: float = 0.7
    declarant_stickiness: float = 0.85
    incumbent_share: float = 0.7
    walk_in_share: float = 0.06
    courier_share: float = 0.12
    price_sigma_homogeneous: float = 0.2
    price_sigma_differentiated: float = 0.45
    price_drift_per_year: float = 0.03
    bent_importer_share: float = 0.20
    bent_weight: float = 30.0
    undervaluation_share: float = 0.034
    hs_switch_share: float = 0.016
    origin_share: float = 0.010
    weight_share: float = 0.014
    sensitivity: float = 0.75
    specificity: float = 0.98
    random_share: float = 0.03
    label_delay_median_d: float = 9.0
    label_delay_p95_d: float = 60.0
    fault_share: float = 0.003


@dataclass(frozen=True)
class MemberProfile:
    """One fictional administration.

    Attributes:
        member_iso2: User-assigned ISO 3166-1 code.
        items: Goods lines unless the caller asks for another number.
        currency_code: ISO 4217 code of its amounts.
        units_per_usd: Exchange rate on the first day.
        fx_step_days: Days for which a rate is valid; 0 means a calendar month.
        vat_pct: Value added tax on value plus duty.
        office_codes: Customs offices, busiest first.
        inspectors_per_office: Officers among whom files are drawn.
        partner_iso2: Parties to its free trade agreement.
        red_share, yellow_share, blue_share: Lanes, as shares of declarations; red and yellow are
            inspected.
        months_per_file: Calendar months in one extract; 0 means one file for everything.
    """

    member_iso2: str
    items: int
    currency_code: str
    units_per_usd: float
    fx_step_days: int
    vat_pct: float
    office_codes: tuple[str, ...]
    inspectors_per_office: int
    partner_iso2: tuple[str, ...]
    red_share: float
    yellow_share: float
    blue_share: float
    months_per_file: int


PROFILES: dict[str, MemberProfile] = {
    profile.member_iso2: profile
    for profile in (
        MemberProfile(
            member_iso2="XA",
            items=24_000,
            currency_code="KES",
            units_per_usd=131.0,
            fx_step_days=0,
            vat_pct=16,
            office_codes=("PORT1", "AIRP1", "ICD01", "BORD1", "BORD2", "POST1"),
            inspectors_per_office=8,
            partner_iso2=("TZ", "UG", "EG", "ZA"),
            red_share=0.12,
            yellow_share=0.18,
            blue_share=0.10,
            months_per_file=6,
        ),
        MemberProfile(
            member_iso2="XB",
            items=16_000,
            currency_code="XOF",
            units_per_usd=604.0,
            fx_step_days=1,
            vat_pct=18,
            office_codes=("PAC", "AER", "FRN", "FRE"),
            inspectors_per_office=7,
            partner_iso2=("CI", "GH", "NG", "TG"),
            red_share=0.16,
            yellow_share=0.24,
            blue_share=0.10,
            months_per_file=3,
        ),
        MemberProfile(
            member_iso2="XC",
            items=8_000,
            currency_code="GTQ",
            units_per_usd=7.8,
            fx_step_days=0,
            vat_pct=12,
            office_codes=("101", "205", "310"),
            inspectors_per_office=5,
            partner_iso2=("MX", "CR", "SV", "HN"),
            red_share=0.20,
            yellow_share=0.30,
            blue_share=0.10,
            months_per_file=0,
        ),
    )
}


@dataclass(frozen=True)
class Request:
    """One member's world, fully determined: same request, same bytes.

    Attributes:
        profile: The administration.
        world: Strengths.
        items: Goods lines to write, faults included.
        first_month: First day of the period, in local time.
        months: Length of the period; the extract is as known at its end.
        seed: Root of all random streams.
    """

    profile: MemberProfile
    world: WorldParameters
    items: int
    first_month: date
    months: int
    seed: int

    @property
    def first_day(self) -> np.datetime64:
        """First day of the period."""
        return np.datetime64(self.first_month, "D")

    @property
    def end_day(self) -> np.datetime64:
        """Day after the last one."""
        end: np.datetime64 = (np.datetime64(self.first_month, "M") + self.months).astype("datetime64[D]")
        return end

    def stream(self, stage: str) -> Generator:
        """Return the random stream of one stage; a new stage leaves the others as they were."""
        member = int.from_bytes(self.profile.member_iso2.encode(), "big")
        return np.random.default_rng(np.random.SeedSequence([self.seed, member, zlib.crc32(stage.encode())]))


def find_profiles(members: Iterable[str]) -> list[MemberProfile]:
    """Return the profiles of the named members.

    Raises:
        UsageProblem: For every name that is not a synthetic member.
    """
    wanted = [member.upper() for member in members]
    unknown = [member for member in wanted if member not in PROFILES]
    if unknown:
        raise UsageProblem(
            Problem(
                f"unknown synthetic member '{member}'{closest(member, PROFILES)}",
                expected=f"one of {', '.join(PROFILES)}",
            )
            for member in unknown
        )
    return [PROFILES[member] for member in wanted]


def zipf_shares(size: int, exponent: float) -> np.ndarray:
    """Return `size` shares proportional to rank to the power of minus `exponent`, summing to one."""
    weights = np.arange(1, size + 1, dtype=np.float64) ** -exponent
    shares: np.ndarray = weights / weights.sum()
    return shares
