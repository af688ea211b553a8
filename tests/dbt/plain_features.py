"""What every feature means, written plainly: one item at a time, over lists, without SQL and without speed.

The tests compare dbt's features with these on a few thousand items. Nothing here is shared with the SQL
but the numbers in `dbt_project.yml`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

Item = dict[str, Any]
Value = float | int | None

GRID = 32


def day_weight(day: date) -> float:
    """Weight of a day: doubled every 256 days since 1990, straight between."""
    periods, days = divmod((day - date(1990, 1, 1)).days, 256)
    return 2.0**periods * (1 + days / 256)


def month_of(day: date) -> date:
    return day.replace(day=1)


def months_later(month: date, months: int) -> date:
    count = month.year * 12 + month.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def ratio(numerator: Any, denominator: Any) -> float | None:
    if numerator is None or not denominator:
        return None
    return float(numerator) / float(denominator)


def log_ratio(numerator: Any, denominator: Any) -> float | None:
    if not numerator or not denominator:
        return None
    return math.log(float(numerator) / float(denominator))


def difference(left: Any, right: Any) -> float | None:
    return None if left is None or right is None else float(left) - float(right)


def flag(*conditions: bool | None) -> int | None:
    """SQL's `and`: false beats unknown, unknown beats true."""
    if any(condition is False for condition in conditions):
        return 0
    return None if any(condition is None for condition in conditions) else 1


def is_known(visible_after: date | None, day: date) -> bool:
    """Whether something visible after one day is known when another begins."""
    return visible_after is not None and visible_after < day


def less(left: Any, right: Any) -> bool | None:
    return None if left is None or right is None else left < right


def median_of(values: list[int]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass
class Distribution:
    """Earlier values of a measure, counted on the grid."""

    points: list[int] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.points)

    @property
    def median(self) -> float:
        return median_of(self.points) / GRID

    @property
    def spread(self) -> float:
        centre = median_of(self.points)
        return median_of([abs(point - centre) for point in self.points]) / GRID  # type: ignore[misc]

    def percentile(self, percent: int) -> float:
        rank = math.ceil(len(self.points) * percent / 100)
        return sorted(self.points)[rank - 1] / GRID


def half_away(value: float) -> int:
    """Round halves away from zero, as SQL does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


class PlainFeatures:
    """Features of items, computed from all items by looking through those that are alike.

    Args:
        items: Current items with canonical names; numbers as float or Decimal.
        rates: (member, currency, first day, units per USD).
        tariffs: (member, code, origin group, preference, first day, last day or None, rate).
        variables: `vars` of dbt_project.yml.
    """

    def __init__(
        self, items: list[Item], rates: list[tuple[Any, ...]], tariffs: list[tuple[Any, ...]], variables: Any
    ) -> None:
        self.vars = variables
        self.rates = rates
        self.tariffs = tariffs
        self.items = [self._with_measures(item) for item in items]
        self._alike: dict[tuple[str, ...], dict[tuple[Any, ...], list[Item]]] = {}
        # Items of one day and entity, and of one month and goods, have the same answer.
        self._states: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._distributions: dict[tuple[Any, ...], Distribution] = {}

    def of(self, item: Item) -> dict[str, Value]:
        """Return every feature of one of the items."""
        states = {name: self._state(item, columns) for name, columns in self._entities().items()}
        found: dict[str, Value] = {}
        for family in (
            self._value(item),
            self._price(item),
            self._weight(item),
            self._tax(item),
            self._switch(item, states),
            self._profile(states),
            self._novelty(item, states),
            self._origin_and_route(item, states),
            self._splitting(item),
            self._document(item),
            self._calendar(item),
        ):
            found |= family
        return found

    def alike(self, item: Item, columns: list[str]) -> list[Item]:
        """Return the items of the same member with the same values, the item itself among them."""
        names = ("member_iso2", *columns)
        if names not in self._alike:
            groups: dict[tuple[Any, ...], list[Item]] = defaultdict(list)
            for other in self.items:
                groups[tuple(other[name] for name in names)].append(other)
            self._alike[names] = groups
        return self._alike[names][tuple(item[name] for name in names)]

    # What an item has of its own

    def _with_measures(self, item: Item) -> Item:
        units = self._units_per_usd(item)
        value = ratio(item["declared_value"], units)
        tax = item["declared_tax"]
        if tax is None and item["tax_rate_pct"] is not None:
            tax = float(item["declared_value"]) * float(item["tax_rate_pct"]) / 100
        return item | {
            "heading_code": item["hs6"][:4],
            "chapter_code": item["hs6"][:2],
            "value_usd": value,
            "tax_usd": ratio(tax, units),
            "usd_per_kg": log_ratio(value, item["net_kg"]),
            "usd_per_unit": log_ratio(value, item["supplementary_qty"]),
            "kg_per_unit": log_ratio(item["net_kg"], item["supplementary_qty"]),
            "gross_to_net": log_ratio(item["gross_kg"], item["net_kg"]),
            "party_id": item["importer_id"] or item["seller_id"],
            "visible_after": self._label_visible_after(item),
            "cancelled_after": self._visible_after(item, item["cancelled_at"]),
        }

    def _units_per_usd(self, item: Item) -> float | None:
        known = [
            (first_day, units)
            for member, currency, first_day, units in self.rates
            if (member, currency) == (item["member_iso2"], item["currency_code"])
            and first_day <= item["registered_date"]
        ]
        if known:
            return float(max(known)[1])
        return 1.0 if item["currency_code"] == "USD" else None

    def _label_visible_after(self, item: Item) -> date | None:
        return None if item["is_irregular"] is None else self._visible_after(item, item["label_at"])

    def _visible_after(self, item: Item, instant: datetime | None) -> date | None:
        """The day after which others may know of something that happened to the item."""
        if instant is None:
            return None
        latest = instant + timedelta(hours=self.vars["hours_east_of_utc_at_most"])
        return max(latest.date(), item["registered_date"])

    # What was known of its entities

    def _entities(self) -> dict[str, list[str]]:
        return self.vars["entities"] | self.vars["counted_entities"]

    def _state(self, item: Item, columns: list[str]) -> dict[str, Any] | None:
        is_line = columns == self.vars["entities"]["product_line"]
        if not is_line and any(item[column] is None for column in columns):
            return None
        names = ("member_iso2", *columns)
        key = (names, *(item[name] for name in names), item["registered_date"])
        if key not in self._states:
            self._states[key] = self._state_anew(item, columns)
        return self._states[key]

    def _state_anew(self, item: Item, columns: list[str]) -> dict[str, Any]:
        day = item["registered_date"]
        same = self.alike(item, columns)
        earlier = [other for other in same if other["registered_date"] < day]
        labelled = [other for other in same if is_known(other["visible_after"], day)]
        irregular = [other for other in labelled if other["is_irregular"]]
        standing = [other for other in earlier if not is_known(other["cancelled_after"], day)]
        taxed = [float(other["tax_rate_pct"]) for other in earlier if other["tax_rate_pct"] is not None]

        def recent(days: Iterable[date]) -> float:
            return sum(day_weight(each) for each in days) / day_weight(day)

        return {
            "items_n": len(standing),
            "labelled_n": len(labelled),
            "irregular_n": len(irregular),
            "recent_items_n": recent(other["registered_date"] for other in standing),
            "recent_labelled_n": recent(other["visible_after"] for other in labelled),
            "recent_irregular_n": recent(other["visible_after"] for other in irregular),
            "first": min((other["registered_date"] for other in earlier), default=None),
            "last": max((other["registered_date"] for other in earlier), default=None),
            "mean_rate": ratio(sum(taxed), len(taxed)),
        }

    # What earlier items of the same goods measured

    def _distribution(self, item: Item, measure: str, columns: list[str]) -> Distribution:
        if any(item[column] is None for column in columns):
            return Distribution()
        names = ("member_iso2", *columns)
        key = (measure, names, *(item[name] for name in names), month_of(item["registered_date"]))
        if key not in self._distributions:
            self._distributions[key] = self._distribution_anew(item, measure, columns)
        return self._distributions[key]

    def _distribution_anew(self, item: Item, measure: str, columns: list[str]) -> Distribution:
        month = month_of(item["registered_date"])
        oldest = months_later(month, -self.vars["reference_months"])
        points = []
        for other in self.alike(item, columns):
            is_refused = is_known(other["cancelled_after"], month) or (
                other["is_irregular"] and is_known(other["visible_after"], month)
            )
            if oldest <= other["registered_date"] < month and not is_refused and other[measure] is not None:
                points.append(half_away(float(other[measure]) * GRID))
        # Fewer make no reference, at whatever level.
        return Distribution(points if len(points) >= self.vars["reference_min_items"] else [])

    def _supported(self, item: Item, measure: str, columns: list[str]) -> Distribution | None:
        found = self._distribution(item, measure, columns)
        return found if found.n else None

    def _robust_z(self, value: Any, median: Any, spread: Any) -> float | None:
        if value is None or median is None:
            return None
        return (value - median) / max(1.4826 * spread, self.vars["reference_min_spread"])

    # Families

    def _value(self, item: Item) -> dict[str, Value]:
        value, mass = item["declared_value"], item["net_kg"]
        return {
            "value__ln_value_usd": math.log(item["value_usd"]) if item["value_usd"] else None,
            "value__ln_net_kg": math.log(mass) if mass else None,
            "value__ln_unit_value_usd_per_kg": item["usd_per_kg"],
            "value__ln_unit_value_usd_per_supplementary_unit": item["usd_per_unit"],
            "value__is_net_kg_zero": None if mass is None else int(mass == 0),
            "value__is_value_zero": int(value == 0),
            "value__is_value_round": int(value > 0 and value % 100 == 0),
            "value__net_to_gross_ratio": ratio(mass, item["gross_kg"]),
        }

    def _price(self, item: Item) -> dict[str, Value]:
        levels = {1: ["hs6", "origin_iso2"], 2: ["hs6"], 3: ["heading_code"], 4: ["chapter_code"], 5: []}
        found = {level: self._distribution(item, "usd_per_kg", columns) for level, columns in levels.items()}
        price, spread = (None, None) if not found[5].n else (found[5].median, found[5].spread)
        prior = self.vars["reference_prior_items"]
        for level in (4, 3, 2, 1):
            own = found[level]
            if own.n and price is not None and spread is not None:
                price = (own.n * own.median + prior * price) / (own.n + prior)
                spread = (own.n * own.spread + prior * spread) / (own.n + prior)
        enough = [level for level in levels if found[level].n]
        level = enough[0] if enough and item["usd_per_kg"] is not None else None
        by_unit = self._supported(item, "usd_per_unit", ["hs6", "supplementary_unit_code"])
        return {
            "price__ln_ratio_to_reference": difference(item["usd_per_kg"], price) if level else None,
            "price__reference_n": found[level].n if level else None,
            "price__robust_z": self._robust_z(item["usd_per_kg"], price, spread) if level else None,
            "price__reference_level": level,
            "price__supplementary_ln_ratio_to_reference": difference(
                item["usd_per_unit"], by_unit.median if by_unit else None
            ),
            "price__supplementary_robust_z": (
                self._robust_z(item["usd_per_unit"], by_unit.median, by_unit.spread) if by_unit else None
            ),
        }

    def _weight(self, item: Item) -> dict[str, Value]:
        packing = self._supported(item, "gross_to_net", ["heading_code"])
        mass = self._supported(item, "kg_per_unit", ["hs6", "supplementary_unit_code"])
        own = item["gross_to_net"]
        is_unusual = None
        if packing and own is not None:
            is_unusual = int(not packing.percentile(1) <= own <= packing.percentile(99))
        net = item["net_kg"]
        return {
            "weight__ln_gross_to_net_difference": difference(own, packing.median if packing else None),
            "weight__gross_to_net_robust_z": (
                self._robust_z(own, packing.median, packing.spread) if packing else None
            ),
            "weight__is_gross_to_net_unusual": is_unusual,
            "weight__kg_per_unit_ln_ratio_to_reference": difference(
                item["kg_per_unit"], mass.median if mass else None
            ),
            "weight__kg_per_unit_robust_z": (
                self._robust_z(item["kg_per_unit"], mass.median, mass.spread) if mass else None
            ),
            "weight__is_net_kg_whole": None if net is None else int(net > 0 and net == int(net)),
        }

    def _tariff(self, item: Item) -> tuple[Any, Any, Any]:
        """Return the statutory and the general rate, and since when the former holds."""
        day = item["registered_date"]
        codes = [code for code in (item["hs_national_code"], item["hs6"], item["heading_code"]) if code]
        special, general = [], []
        for member, code, group, preference, first_day, last_day, rate in self.tariffs:
            is_origin = group in (item["origin_iso2"], "ALL") or (len(group) != 2 and preference != "MFN")
            if (
                member != item["member_iso2"]
                or code not in codes
                or preference not in (item["preference_code"], "MFN")
                or not is_origin
                or not first_day <= day <= (last_day or date.max)
            ):
                continue
            rank = 2 if group == item["origin_iso2"] else 0 if group == "ALL" else 1
            (general if preference == "MFN" else special).append((len(code), rank, first_day, rate))
        statutory = max(special or general, default=(None,) * 4)
        return statutory[3], max(general, default=(None,) * 4)[3], statutory[2]

    def _tax(self, item: Item) -> dict[str, Value]:
        procedure = item["procedure_code"]
        is_suspended = None if procedure is None else not procedure.startswith("4")
        statutory, general, since = self._tariff(item)
        rate = item["tax_rate_pct"]
        usual = self._supported(item, "tax_rate_pct", ["hs6"])
        paid, value = item["declared_tax"], item["declared_value"]
        computed = None if rate is None else float(value) * float(rate) / 100

        def due(amount: Any) -> Any:
            return None if is_suspended else amount

        return {
            "tax__rate_pct": rate,
            "tax__ratio_to_value": ratio(paid, value),
            "tax__is_duty_suspended": None if is_suspended is None else int(is_suspended),
            "tax__statutory_rate_pct": due(statutory),
            "tax__statutory_gap_pct": due(difference(statutory, rate)),
            "tax__general_rate_gap_pct": due(difference(general, rate)),
            "tax__days_since_rate_change": None if since is None else (item["registered_date"] - since).days,
            "tax__gap_to_usual_rate_pct": due(difference(usual.median if usual else None, rate)),
            "tax__declared_to_computed_ratio": ratio(paid, computed),
        }

    def _switch(self, item: Item, states: dict[str, Any]) -> dict[str, Value]:
        rate = item["tax_rate_pct"]
        highest = self._supported(item, "tax_rate_pct", ["heading_code"])
        heading = states["importer_heading"] or defaultdict(lambda: None)
        own = states["importer_hs6"] or defaultdict(lambda: None)
        knows_heading = None if heading["items_n"] is None else heading["items_n"] > 0
        is_new = None if own["items_n"] is None else own["items_n"] == 0
        return {
            "switch__gap_to_highest_rate_in_heading_pct": difference(
                highest.percentile(99) if highest else None, rate
            ),
            "switch__gap_to_own_mean_rate_pct": difference(heading["mean_rate"], rate),
            "switch__hs6_share_of_own_heading": ratio(own["items_n"], heading["items_n"]),
            "switch__is_hs6_new_in_own_heading": flag(knows_heading, is_new),
            "switch__is_to_lower_rate": flag(
                knows_heading, is_new, less(rate, heading["mean_rate"]) if rate is not None else None
            ),
        }

    def _profile(self, states: dict[str, Any]) -> dict[str, Value]:
        member = states["member"]
        prior = ratio(member["irregular_n"], member["labelled_n"])
        smoothing = self.vars["profile_smoothing"]
        found: dict[str, Value] = {}
        for entity in self.vars["entities"]:
            state = states[entity] or defaultdict(lambda: None)
            weight = smoothing.get(entity, smoothing["default"])

            def smoothed(irregular: Any, labelled: Any, weight: Any = weight) -> float | None:
                if prior is None or labelled is None:
                    return None
                return float((irregular + weight * prior) / (labelled + weight))

            name = f"profile__{entity}"
            found[f"{name}_rate"] = smoothed(state["irregular_n"], state["labelled_n"])
            found[f"{name}_labelled_n"] = state["labelled_n"]
            found[f"{name}_items_n"] = state["items_n"]
            if entity in self.vars["decayed_entities"]:
                found[f"{name}_recent_rate"] = smoothed(
                    state["recent_irregular_n"], state["recent_labelled_n"]
                )
                found[f"{name}_recent_items_n"] = state["recent_items_n"]
        return found

    def _novelty(self, item: Item, states: dict[str, Any]) -> dict[str, Value]:
        found: dict[str, Value] = {
            "novelty__is_product_line_new": int(states["product_line"]["items_n"] == 0)
        }
        for entity in self.vars["dated_entities"]:
            state = states[entity]
            for seen in ("first", "last"):
                day = state[seen] if state else None
                found[f"novelty__{entity}_days_since_{seen}_seen"] = (
                    None if day is None else (item["registered_date"] - day).days
                )
        return found

    def _origin_and_route(self, item: Item, states: dict[str, Any]) -> dict[str, Value]:
        n = {name: None if state is None else state["items_n"] for name, state in states.items()}
        origin, dispatch = item["origin_iso2"], item["dispatch_iso2"]
        is_new = None if n["importer_origin"] is None else n["importer_origin"] == 0
        knows_heading = None if n["importer_heading"] is None else n["importer_heading"] > 0
        return {
            "origin__share_of_importer": ratio(n["importer_origin"], n["importer"]),
            "origin__share_of_heading": ratio(n["heading_origin"], n["heading"]),
            "origin__is_new_for_importer": flag(knows_heading, is_new),
            "origin__preference_share_of_heading_origin": ratio(
                n["heading_origin_preference"], n["heading_origin"]
            ),
            "route__is_dispatch_other_than_origin": (
                None if origin is None or dispatch is None else int(origin != dispatch)
            ),
            "route__dispatch_share_of_origin": ratio(n["origin_dispatch"], n["origin"]),
            "route__dispatch_share_of_heading_origin": ratio(
                n["heading_origin_dispatch"], n["heading_origin"]
            ),
        }

    def _splitting(self, item: Item) -> dict[str, Value]:
        threshold = self.vars["member_de_minimis_usd"].get(item["member_iso2"], self.vars["de_minimis_usd"])
        if item["party_id"] is None:
            return dict.fromkeys(
                f"splitting__{name}"
                for name in (
                    "earlier_items_n",
                    "earlier_value_usd",
                    "is_sum_above_threshold",
                    "value_to_threshold_ratio",
                )
            )
        now: datetime = item["registered_at"]
        values = [
            round(other["value_usd"] or 0, 2)
            for other in self.alike(item, ["party_id", "heading_code"])
            if now - timedelta(hours=self.vars["splitting_hours"]) <= other["registered_at"] < now
        ]
        own = None if item["value_usd"] is None else round(item["value_usd"], 2)
        return {
            "splitting__earlier_items_n": len(values),
            "splitting__earlier_value_usd": sum(values),
            "splitting__is_sum_above_threshold": flag(
                less(own, threshold),
                max(values, default=0) < threshold,
                None if own is None else own + sum(values) >= threshold,
            ),
            "splitting__value_to_threshold_ratio": ratio(own, threshold),
        }

    def _document(self, item: Item) -> dict[str, Value]:
        code = item["hs_national_code"]
        return {
            "document__missing_fields_n": sum(item[name] is None for name in self.vars["document_fields"]),
            "document__national_code_digits_n": None if code is None else len(code),
        }

    def _calendar(self, item: Item) -> dict[str, Value]:
        day: date = item["registered_date"]
        return {
            "calendar__month": day.month,
            "calendar__weekday": day.isoweekday(),
            "calendar__day_of_month": day.day,
            "calendar__days_to_month_end": (months_later(month_of(day), 1) - day).days - 1,
            "calendar__hour_utc": item["registered_at"].hour,
        }
