"""The parts of a model's configuration: what may be chosen, within which bounds, and what it means.

Descriptions become the schema that `tidewaiter config schema model` prints. The whole of it, and reading
it from YAML, is in `config`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Lane = Literal["RED", "YELLOW", "BLUE"]
CategoricalColumn = Literal["office_code", "origin_iso2", "hs6"]
ALL_FAMILIES = "all"


class Part(BaseModel):
    """Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureChoice(Part):
    """Which columns of the feature mart a model sees: by family, by glob, or both.

    A family is what stands before the double underscore of a column: `price` of `price__robust_z`.
    """

    families: tuple[str, ...] = Field(default=(), description="Families, or `all`.")
    include: tuple[str, ...] = Field(default=(), description="Globs over feature columns, added.")
    exclude: tuple[str, ...] = Field(default=(), description="Globs taken away again.")
    categorical: tuple[CategoricalColumn, ...] = Field(
        default=(), description="Code columns given to XGBoost as native categories."
    )
    largest_vocabulary: int = Field(
        default=128, ge=2, description="Commonest codes kept of a native category; the rest is missing."
    )

    @model_validator(mode="after")
    def _something_is_chosen(self) -> FeatureChoice:
        if not (self.families or self.include or self.categorical):
            raise ValueError("families, include or categorical names at least one feature")
        return self


class WeightChoice(Part):
    """What an item counts for when a model is fitted and judged."""

    inverse_probability: bool = Field(
        default=True,
        description="Weigh by one over the logged chance of being inspected, where it is known.",
    )
    maximum: float = Field(default=20, ge=1, description="Largest such weight.")
    half_life_days: float | None = Field(
        default=None, gt=0, description="Fitting only: an item this much older counts half."
    )


class SplitChoice(Part):
    """Time-ordered windows, in days of the member's calendar."""

    test_days: int = Field(ge=1, description="Last days of the labelled period, for judging only.")
    calibration_days: int = Field(ge=1, description="Days before the test window.")
    minimum_labels: int = Field(ge=1, description="Matured labels needed before calibration starts.")
    minimum_irregular: int = Field(ge=1, description="Irregular items needed among them.")


class BoostingChoice(Part):
    """XGBoost's parameters, by the library's names."""

    objective: Literal["probability", "ranking"] = Field(
        default="probability",
        description="`ranking` learns the order of recovered revenue within office and week (NDCG).",
    )
    max_depth: int = Field(ge=1, le=12)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0, description="Least information (sum of p(1-p)) in a leaf.")
    min_child_scale: float = Field(
        default=0.0,
        ge=0,
        description="At least so many times the square root of the information in all items fitted on.",
    )
    num_parallel_tree: int = Field(default=1, ge=1, le=32, description="Trees averaged per round.")
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_rounds: int = Field(ge=1, description="Most trees; early stopping on the calibration window.")
    early_stopping_rounds: int = Field(ge=1)
    refit: bool = Field(
        default=True,
        description="Learn again, in as many rounds, from all that is known before the test window.",
    )
    monotone: dict[str, Literal[-1, 1]] = Field(
        default_factory=dict, description="Features whose effect may only fall (-1) or rise (1)."
    )
    device: Literal["cpu", "cuda"] = "cpu"


SEARCHABLE = (
    "max_depth",
    "learning_rate",
    "min_child_weight",
    "min_child_scale",
    "num_parallel_tree",
    "subsample",
    "colsample_bytree",
    "reg_lambda",
)


class CalibrationChoice(Part):
    """How scores become probabilities, on the calibration window."""

    method: Literal["automatic", "isotonic", "platt", "none"] = Field(
        default="automatic", description="`automatic`: isotonic where the window is large enough, else Platt."
    )
    isotonic_minimum_n: int = Field(ge=2)
    isotonic_minimum_irregular: int = Field(ge=1)


class RecoveryChoice(Part):
    """The model of USD recovered from an irregular item."""

    winsorise_quantile: float = Field(gt=0.5, le=1)
    minimum_irregular: int = Field(ge=1, description="Recoveries needed for a model of their own.")
    max_rounds: int = Field(ge=1)
    reg_lambda: float = Field(
        default=10.0,
        ge=0,
        description="As in `boosting`, for the leaves of amounts.",
    )


class BaselineChoice(Part):
    """What the model is compared with."""

    risk_profile: tuple[str, ...] = Field(
        min_length=1, description="Entities whose smoothed past rates are averaged."
    )


class EvaluationChoice(Part):
    """At which inspected shares the model is judged."""

    inspection_shares: tuple[float, ...] = Field(min_length=1)
    resampled_worlds: int = Field(
        default=200, ge=20, description="Resampled worlds behind every interval; fewer on large windows."
    )

    @model_validator(mode="after")
    def _shares_are_shares(self) -> EvaluationChoice:
        if not all(0 < share < 1 for share in self.inspection_shares):
            raise ValueError("inspection_shares lie between 0 and 1")
        return self


class FairnessLimits(Part):
    """When a difference between groups stops a promotion."""

    minimum_group_n: int = Field(default=200, ge=1, description="Labelled items, else no verdict.")
    ratio_low: float = Field(default=0.8, gt=0, le=1, description="Group's rate by everybody's, at least.")
    ratio_high: float = Field(default=1.25, ge=1, description="Group's rate by everybody's, at most.")
    calibration_gap: float = Field(
        default=0.1, gt=0, description="Largest gap of mean probability and observed rate within a group."
    )
    origin_and_proxies: tuple[str, ...] = Field(
        default=("*origin*", "*dispatch*", "*seller*", "*courier*", "route__*"),
        description="Features the counterfactual model does without; empty: none is fitted.",
    )


class GateChoice(Part):
    """What a challenger must show before it becomes champion."""

    metric: str = Field(default="average_precision", description="Must exceed the champion's.")
    calibration_error_at_most: float = Field(default=0.05, gt=0)
    calibration_slope_between: tuple[float, float] = (0.8, 1.25)
    fairness: FairnessLimits = FairnessLimits()


class DriftLimits(Part):
    """When a population has moved so far that people should know."""

    psi_warn: float = Field(default=0.1, gt=0, description="Population stability index.")
    psi_alarm: float = Field(default=0.25, gt=0)
    label_rate_change: float = Field(
        default=0.25, gt=0, description="Relative change of the irregular rate, outside its interval."
    )
    metric_drop: float = Field(
        default=0.05,
        gt=0,
        description="Drop of average precision below the test window's, beyond its interval.",
    )
    recent_days: int = Field(default=56, ge=1, description="Days compared with the training period.")
    minimum_items: int = Field(default=200, ge=1, description="Fewer recent items are not judged.")
    ignore: tuple[str, ...] = Field(
        default=(
            *("calendar__*", "*_items_n", "*_labelled_n", "*_days_since_*", "*reference_n"),
            *("profile__*_rate", "route__dispatch_share_of_origin"),
        ),
        description="Features that move by themselves as time passes and history grows.",
    )


class Range(Part):
    """What a parameter may be in a search."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("low is at most high, and above 0 where log is set")
        return self


class SearchChoice(Part):
    """The search for hyper-parameters."""

    trials: int = Field(default=30, ge=1)
    metric: Literal["log_loss", "average_precision", "auc"] = "average_precision"
    origins: int = Field(default=3, ge=1, description="Rolling origins before the test window, averaged.")
    origin_days: int = Field(default=45, ge=1, description="Days judged at each origin.")
    space: dict[str, Range] = Field(
        default={
            "max_depth": Range(low=2, high=6),
            "learning_rate": Range(low=0.03, high=0.3, log=True),
            "min_child_scale": Range(low=0.05, high=2.0, log=True),
            "subsample": Range(low=0.5, high=1.0),
            "colsample_bytree": Range(low=0.3, high=1.0),
            "reg_lambda": Range(low=0.5, high=200, log=True),
        },
        description="Numeric parameters of `boosting` and where they are searched.",
    )

    @model_validator(mode="after")
    def _parameters_exist(self) -> SearchChoice:
        wrong = [name for name in self.space if name not in SEARCHABLE]
        if wrong:
            raise ValueError(f"no parameter to search: {', '.join(wrong)} (one of {', '.join(SEARCHABLE)})")
        return self


class ScoringChoice(Part):
    """What a score batch holds beside the score."""

    explained_top_share: float = Field(
        ge=0, le=1, description="Explained: this share by score and this share by expected recovery."
    )
    explained_at_most: int = Field(
        default=50_000, ge=1, description="Of each of the two, at most so many: exact reasons take time."
    )
    explained_ranks: int = Field(
        ge=0, description="Explained as well: the first so many of an office and day."
    )
    lane_shares: dict[Lane, float] = Field(description="Expected load per lane; the rest is GREEN.")
    batch_rows: int = Field(ge=1, description="Rows held in memory at once.")

    @model_validator(mode="after")
    def _lanes_leave_room(self) -> ScoringChoice:
        if any(share < 0 for share in self.lane_shares.values()) or sum(self.lane_shares.values()) >= 1:
            raise ValueError("lane_shares are not negative and sum to less than 1")
        return self
