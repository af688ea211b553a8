"""The six fictional administrations, and a request for one of their worlds."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np

from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.synthetic.parameters import Plan, WorldParameters

Generator = np.random.Generator
_STANDARD_ITEMS_PER_YEAR = 300_000


@dataclass(frozen=True)
class Office:
    """A customs office.

    Attributes:
        inspectors: Officers at a member of 300,000 items a year or fewer.
        is_round_the_clock: Three shifts a day; else one, from 7 to 19 hours.
    """

    code: str
    inspectors: int
    is_round_the_clock: bool = False


@dataclass(frozen=True)
class MemberProfile:
    """One fictional administration (all assumed).

    Attributes:
        member_iso2: User-assigned ISO 3166-1 code.
        items: Goods lines of the demo.
        currency_code: ISO 4217 code of its amounts.
        units_per_usd: Exchange rate on the first day.
        fx_step_days: Days for which a rate is valid; 0 means a calendar month.
        vat_pct: Value added tax on value plus duty.
        offices: Busiest first.
        partner_iso2: Parties to its free trade agreement.
        red_share, yellow_share, blue_share: Lanes, as shares of declarations; red and yellow are
            inspected.
        months_per_file: Calendar months in one extract; 0 means one file for everything.
        hs_edition: Edition of the Harmonized System that it uses.
        walk_in_share: Share of declarations without an importer number.
        courier_share: Share of declarations that come by express courier.
        de_minimis_usd: Value under which a courier consignment pays no duty and no tax.
        is_landlocked: Goods come by road through a neighbour's port.
        has_declarations: False for a member that sends aggregates alone.
    """

    member_iso2: str
    items: int
    currency_code: str
    units_per_usd: float
    fx_step_days: int
    vat_pct: float
    offices: tuple[Office, ...]
    partner_iso2: tuple[str, ...]
    red_share: float
    yellow_share: float
    blue_share: float
    months_per_file: int
    hs_edition: str = "HS2017"
    walk_in_share: float = 0.12
    courier_share: float = 0.12
    de_minimis_usd: float = 150.0
    is_landlocked: bool = False
    has_declarations: bool = True


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
            offices=(
                Office("PORT1", 25, is_round_the_clock=True),
                Office("AIRP1", 18, is_round_the_clock=True),
                Office("ICD01", 12),
                Office("BORD1", 10),
                Office("BORD2", 8),
                Office("POST1", 8),
            ),
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
            offices=(
                Office("PAC", 18, is_round_the_clock=True),
                Office("AER", 10),
                Office("FRN", 8),
                Office("FRE", 8),
            ),
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
            vat_pct=15,
            offices=(Office("101", 9), Office("205", 8), Office("310", 8)),
            partner_iso2=("MX", "CR", "SV", "HN"),
            red_share=0.20,
            yellow_share=0.30,
            blue_share=0.10,
            months_per_file=0,
        ),
        MemberProfile(
            member_iso2="XD",
            items=40_000,
            currency_code="USD",
            units_per_usd=1.0,
            fx_step_days=0,
            vat_pct=15,
            offices=(Office("ALL", 8),),
            partner_iso2=("MX", "BR"),
            red_share=0.12,
            yellow_share=0.18,
            blue_share=0.10,
            months_per_file=12,
            hs_edition="HS2022",
            has_declarations=False,
        ),
        MemberProfile(
            member_iso2="XE",
            items=20_000,
            currency_code="MYR",
            units_per_usd=4.5,
            fx_step_days=7,
            vat_pct=20,
            offices=(
                Office("KLPOST", 16, is_round_the_clock=True),
                Office("KLAIR", 14, is_round_the_clock=True),
                Office("PKSEA", 10),
            ),
            partner_iso2=("ID", "TH", "VN", "JP"),
            red_share=0.08,
            yellow_share=0.12,
            blue_share=0.20,
            months_per_file=1,
            hs_edition="HS2022",
            walk_in_share=0.05,
            courier_share=0.75,
            de_minimis_usd=110.0,
        ),
        MemberProfile(
            member_iso2="XF",
            items=12_000,
            currency_code="UGX",
            units_per_usd=3_700.0,
            fx_step_days=0,
            vat_pct=18,
            offices=(Office("MLB", 14), Office("BUS", 12), Office("KLA", 10), Office("ENT", 8)),
            partner_iso2=("TZ", "EG", "ZA", "GH"),
            red_share=0.15,
            yellow_share=0.20,
            blue_share=0.10,
            months_per_file=6,
            hs_edition="HS2022",
            is_landlocked=True,
        ),
    )
}
DEMO_MEMBERS = ("XA", "XB", "XC")


@dataclass(frozen=True)
class Request:
    """One member's world, fully determined: same request, same bytes.

    Attributes:
        profile: The administration.
        plan: The world's strengths, scenarios and decoys.
        items: Goods lines first registered, faulty ones included; those of re-registered
            declarations and of split consignments come on top.
        first_month: First day of the period, in local time.
        months: Length of the period; the extract is as known at its end.
        seed: Root of all random streams.
    """

    profile: MemberProfile
    plan: Plan
    items: int
    first_month: date
    months: int
    seed: int

    @property
    def world(self) -> WorldParameters:
        """Strengths of the world."""
        return self.plan.world

    @property
    def first_day(self) -> np.datetime64:
        """First day of the period."""
        return np.datetime64(self.first_month, "D")

    @property
    def end_day(self) -> np.datetime64:
        """Day after the last one."""
        end: np.datetime64 = (np.datetime64(self.first_month, "M") + self.months).astype("datetime64[D]")
        return end

    @property
    def first_s(self) -> int:
        """First instant of the period, in local seconds since 1970-01-01."""
        return int(self.first_day.astype(np.int64)) * 86_400

    @property
    def end_s(self) -> int:
        """First instant after the period."""
        return int(self.end_day.astype(np.int64)) * 86_400

    def instant_s(self, share: float) -> int:
        """Return the midnight at which this share of the period is over."""
        days = round(share * (self.end_s - self.first_s) / 86_400)
        return self.first_s + days * 86_400

    @property
    def inspectors(self) -> tuple[int, ...]:
        """Officers of each office: more than the profile's where a year has more items than usual."""
        a_year = self.items * 12 / self.months
        factor = int(np.clip(round((a_year / _STANDARD_ITEMS_PER_YEAR) ** 0.5), 1, 4))
        return tuple(office.inspectors * factor for office in self.profile.offices)

    def stream(self, stage: str, part: int = 0) -> Generator:
        """Return the random stream of one stage and part; a new stage leaves the others as they were."""
        member = int.from_bytes(self.profile.member_iso2.encode(), "big")
        key = [self.seed, member, zlib.crc32(stage.encode()), part]
        return np.random.default_rng(np.random.SeedSequence(key))


def find_profiles(members: Iterable[str]) -> list[MemberProfile]:
    """Return the profiles of the named members.

    Raises:
        UsageProblem: For every name that is not a synthetic member.
    """
    wanted = [member.strip().upper() for member in members]
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


def draw_by_share(random: Generator, shares: np.ndarray, size: int) -> np.ndarray:
    """Draw `size` indices with probabilities proportional to `shares`."""
    upper = np.cumsum(shares)
    drawn = np.searchsorted(upper, random.random(size) * upper[-1], side="right")
    kept: np.ndarray = np.minimum(drawn, shares.size - 1)
    return kept
