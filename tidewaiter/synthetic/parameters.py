"""How strong everything in a synthetic world is: the world itself, its scenarios and its decoys.

Every assumption is a number with a name here or in `profiles`; `docs/explanation/synthetic-world.md`
says where each comes from. A scenario is dishonest and has truth; a decoy is innocent and looks odd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from tidewaiter.errors import Problem, UsageProblem, closest


@dataclass(frozen=True)
class WorldParameters:
    """Strengths that all members share; shares are of items unless said otherwise.

    Attributes:
        importer_zipf, declarant_zipf, commodity_zipf: Exponents of the rank-share laws.
        declarant_stickiness: Probability that an importer uses its usual declarant.
        newcomer_share_per_month: Importers that trade for the first time, as a share of those active;
            as many leave. The largest tenth never leaves.
        price_sigma_homogeneous, price_sigma_differentiated: Standard deviation of ln price within
            HS6, origin and seller, after Rauch's classes.
        price_sigma_origin, price_sigma_seller: Standard deviation of ln price between them.
        price_drift_per_year: Annual growth of ln price.
        ln_value_mean, ln_value_sigma: Of an item's value in USD.
        importer_size_sigma: Standard deviation of an importer's shift of ln value.
        bent_importer_share: Importers among whom irregularities concentrate.
        bent_weight: How much likelier an item of theirs is irregular than another's.
        sensitivity, specificity: Of an honest examination.
        random_share, topup_share: Shares of declarations drawn evenly for the red lane: by the
            configured minimum random rate, and to fill the lane up to its expected rate.
        override_share: Red declarations that a supervisor honestly moves to yellow.
        reassigned_share: Assigned declarations that another inspector honestly takes over.
        overtime_share: Inspection acts honestly written off shift.
        cancelled_share: Declarations honestly cancelled; `reregistered_share` of them come again.
        audit_random_share, audit_targeted_share, audit_blue_share: Cleared declarations audited
            afterwards: drawn evenly, chosen, and of the blue lane.
        audit_sensitivity, audit_specificity: Of an audit.
        label_delay_median_d, label_delay_p95_d: Log-normal delay from release to label, in days.
        mirror_sigma: Noise of ln value and mass in partners' records.
        fault_share: Share of rows spoilt in the raw files.
    """

    importer_zipf: float = 1 / 1.1
    declarant_zipf: float = 0.8
    commodity_zipf: float = 0.7
    declarant_stickiness: float = 0.85
    newcomer_share_per_month: float = 0.08
    price_sigma_homogeneous: float = 0.2
    price_sigma_differentiated: float = 0.7
    price_sigma_origin: float = 0.15
    price_sigma_seller: float = 0.1
    price_drift_per_year: float = 0.03
    ln_value_mean: float = 7.6
    ln_value_sigma: float = 1.4
    importer_size_sigma: float = 0.5
    bent_importer_share: float = 0.20
    bent_weight: float = 30.0
    sensitivity: float = 0.75
    specificity: float = 0.98
    random_share: float = 0.03
    topup_share: float = 0.01
    override_share: float = 0.02
    reassigned_share: float = 0.03
    overtime_share: float = 0.02
    cancelled_share: float = 0.004
    reregistered_share: float = 0.6
    audit_random_share: float = 0.02
    audit_targeted_share: float = 0.005
    audit_blue_share: float = 0.10
    audit_sensitivity: float = 0.85
    audit_specificity: float = 0.99
    label_delay_median_d: float = 9.0
    label_delay_p95_d: float = 60.0
    mirror_sigma: float = 0.12
    fault_share: float = 0.003


@dataclass(frozen=True)
class Undervaluation:
    """S1: differentiated goods at `rate_from_pct` duty or more, declared at a part of their value."""

    share: float = 0.015
    low: float = 0.30
    high: float = 0.75
    rate_from_pct: float = 20.0


@dataclass(frozen=True)
class HeadingSwitch:
    """S2: declared as the cheapest-taxed subheading of the same heading."""

    share: float = 0.008


@dataclass(frozen=True)
class FalseOrigin:
    """S3: origin moved to a partner of the trade agreement; the dispatch stays."""

    share: float = 0.005


@dataclass(frozen=True)
class ShortWeight:
    """S4: mass, and value with it, declared short."""

    share: float = 0.006
    low: float = 0.60
    high: float = 0.85


@dataclass(frozen=True)
class Splitting:
    """S5: consignments of a few consignees split into parts under the de minimis value within 72 hours.

    Attributes:
        consignees: At most; worlds of fewer than 240,000 items have one for each 6,000.
        per_month: Consignments of each.
    """

    consignees: int = 40
    per_month: float = 1.0
    parts_from: int = 3
    parts_to: int = 6


@dataclass(frozen=True)
class Collusion:
    """S6: a broker and an inspector; one pair for each diversion.

    Attributes:
        diversion: Share of the broker's assigned files that go to the inspector beyond chance.
        undervalued: Share of the arranged declarations whose goods are undervalued, as in S1.
        clearance: Factor on the time to act and to release of a diverted file.
        least_files: Assigned files that the broker should have over the period, where one has.
        start: When it begins, as a share of the period; so for all schemes below.
    """

    diversion: tuple[float, ...] = (0.05, 0.10, 0.20)
    undervalued: float = 0.6
    clearance: float = 0.6
    least_files: int = 300
    start: float = 0.25


@dataclass(frozen=True)
class LaneShopping:
    """S7: brokers that cancel a share of their reds and register the same consignment anew."""

    brokers: int = 2
    share: float = 0.35
    start: float = 0.25


@dataclass(frozen=True)
class OverrideRing:
    """S8: a supervisor who moves a share of the reds of a few importers to yellow."""

    importers: int = 5
    share: float = 0.30
    start: float = 0.25


@dataclass(frozen=True)
class LenientInspector:
    """S9: inspectors who miss much and divert nothing."""

    inspectors: int = 1
    sensitivity: float = 0.25
    start: float = 0.25


@dataclass(frozen=True)
class Extortion:
    """S10: inspectors who delay and who raise the value of small importers without ground.

    Attributes:
        delay: Factor on the time to act and to release.
        uplift: Share added to the value.
        uplifted: Share of the conform items of small importers that it is done to.
    """

    inspectors: int = 1
    delay: float = 3.0
    uplift: float = 0.12
    uplifted: float = 0.5
    start: float = 0.25


@dataclass(frozen=True)
class TamperedDraw:
    """S11: the random draw passes over a few brokers for some days."""

    brokers: int = 2
    days: int = 60
    start: float = 0.5


@dataclass(frozen=True)
class NovelFraud:
    """S12: new importers, a new chapter and a new origin; value and mass short, the unit value usual.

    Attributes:
        share: Of the declarations from the start on.
        irregular: Of their items.
    """

    share: float = 0.01
    importers: int = 20
    irregular: float = 0.7
    low: float = 0.40
    high: float = 0.70
    start: float = 0.42


@dataclass(frozen=True)
class Scenarios:
    """What is planted; None where it is not."""

    S1: Undervaluation | None = None
    S2: HeadingSwitch | None = None
    S3: FalseOrigin | None = None
    S4: ShortWeight | None = None
    S5: Splitting | None = None
    S6: Collusion | None = None
    S7: LaneShopping | None = None
    S8: OverrideRing | None = None
    S9: LenientInspector | None = None
    S10: Extortion | None = None
    S11: TamperedDraw | None = None
    S12: NovelFraud | None = None


@dataclass(frozen=True)
class VehicleDesk:
    """Z1: motor vehicles go to a desk of few inspectors, and few brokers specialise in them."""

    inspectors: int = 5
    brokers: int = 2


@dataclass(frozen=True)
class NightBroker:
    """Z2: a broker who lodges mostly at night, when few inspectors are on duty."""

    brokers: int = 1
    share: float = 0.8


@dataclass(frozen=True)
class AuthorisedOperators:
    """Z3: trusted importers, seldom selected, released faster, their reds moved to yellow by rule."""

    importers: int = 20
    relief: float = 1.5
    override: float = 0.5
    clearance: float = 0.5


@dataclass(frozen=True)
class Devaluation:
    """Z4: the currency loses value on one day, and all amounts in it jump."""

    loss: float = 0.25
    start: float = 0.6


@dataclass(frozen=True)
class PriceList:
    """Z5: honest bulk importers with a price list and round quantities: values that break Benford's law."""

    importers: int = 2
    prices: int = 4


@dataclass(frozen=True)
class ReExportHub:
    """Z6: goods that come by a hub stand in the hub's records and not in those of their origin."""


@dataclass(frozen=True)
class Decoys:
    """What is innocent and looks odd; None where it is not there."""

    Z1: VehicleDesk | None = None
    Z2: NightBroker | None = None
    Z3: AuthorisedOperators | None = None
    Z4: Devaluation | None = None
    Z5: PriceList | None = None
    Z6: ReExportHub | None = None


@dataclass(frozen=True)
class Plan:
    """A world and what happens in it."""

    world: WorldParameters = field(default_factory=WorldParameters)
    scenarios: Scenarios = field(default_factory=Scenarios)
    decoys: Decoys = field(default_factory=Decoys)


def plan(
    scenarios: str = "all",
    decoys: str = "all",
    strengths: Iterable[str] = (),
    world: WorldParameters | None = None,
) -> Plan:
    """Return the plan that the words ask for.

    Args:
        scenarios: `all`, `none`, or names with commas such as `S1,S6`.
        decoys: The same of decoys.
        strengths: Such as `S6.diversion=0.05/0.20`, `Z4.loss=0.1` or `world.fault_share=0`.
        world: Strengths of the world; else the defaults.

    Raises:
        UsageProblem: Unknown names or unreadable values; carries all of them.
    """
    problems: list[Problem] = []
    found = Plan(
        world or WorldParameters(),
        _chosen(Scenarios, scenarios, "scenario", problems),
        _chosen(Decoys, decoys, "decoy", problems),
    )
    for text in strengths:
        found = _strengthened(found, text, problems)
    if problems:
        raise UsageProblem(problems)
    return found


def _chosen(kind: type[Any], text: str, word: str, problems: list[Problem]) -> Any:
    classes = {name: hint.__args__[0] for name, hint in get_type_hints(kind).items()}
    if text.strip().lower() in ("none", ""):
        return kind()
    names = list(classes) if text.strip().lower() == "all" else [n.strip().upper() for n in text.split(",")]
    problems += [
        Problem(
            f"unknown {word} '{name}'{closest(name, classes)}",
            expected=f"all, none, or some of {', '.join(classes)}",
        )
        for name in names
        if name not in classes
    ]
    return kind(**{name: classes[name]() for name in names if name in classes})


def _strengthened(found: Plan, text: str, problems: list[Problem]) -> Plan:
    name, _, value = text.partition("=")
    owner, _, key = name.strip().partition(".")
    owner = owner if owner == "world" else owner.upper()
    room = next((room for room in ("scenarios", "decoys") if hasattr(getattr(found, room), owner)), None)
    part = found.world if owner == "world" else getattr(getattr(found, room), owner) if room else None
    where = f"strength '{text}'"
    if part is None:
        asked = f"'{owner}' is not among the chosen scenarios and decoys"
        problems.append(Problem(asked, where=where, expected="such as S6.diversion=0.05/0.20"))
        return found
    known = {entry.name: getattr(part, entry.name) for entry in fields(part)}
    if key not in known:
        problems.append(
            Problem(f"'{owner}' has no '{key}'{closest(key, known)}", where=where, expected=", ".join(known))
        )
        return found
    try:
        changed = replace(part, **{key: _read(value, known[key])})
    except ValueError:
        problems.append(Problem(f"'{value}' is no value for it", where=where, expected=f"like {known[key]}"))
        return found
    if room is None:
        return replace(found, world=changed)
    return replace(found, **{room: replace(getattr(found, room), **{owner: changed})})


def _read(text: str, example: Any) -> Any:
    values = tuple(float(part) for part in text.split("/"))
    if not values or any(value < 0 or value != value for value in values):
        raise ValueError(text)
    if isinstance(example, tuple):
        return values
    if len(values) > 1 or (isinstance(example, int) and values[0] != int(values[0])):
        raise ValueError(text)
    return int(values[0]) if isinstance(example, int) else values[0]


# Small worlds need more irregular items than real ones have, and parties that stay, or there is nothing to
# learn from.
_SMALL_SHARES: Mapping[str, float] = {"S1": 0.034, "S2": 0.016, "S3": 0.010, "S4": 0.014}


def small_plan(world: WorldParameters | None = None) -> Plan:
    """Return the plan of the demo: everything, the irregularities S1 to S4 about twice as frequent."""
    world = world or WorldParameters(price_sigma_differentiated=0.45, newcomer_share_per_month=0.02)
    return plan(strengths=[f"{name}.share={share}" for name, share in _SMALL_SHARES.items()], world=world)
