"""What a data scientist may choose: one YAML file per model, checked on reading.

Thresholds and features live in `configs/*.yaml`; this module only says what may stand there.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidewaiter import fingerprint
from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.settings import Settings

CONFIG_DIR = Path(__file__).resolve().parent / "configs"
DEFAULT_CONFIG = CONFIG_DIR / "irregularity.yaml"

Lane = Literal["RED", "YELLOW", "BLUE"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureChoice(_Part):
    """Which columns of the feature mart a model sees."""

    include: tuple[str, ...] = Field(min_length=1, description="Globs over feature columns.")
    exclude: tuple[str, ...] = Field(default=(), description="Globs taken away again.")


class SplitChoice(_Part):
    """Time-ordered windows, in days of the member's calendar."""

    test_days: int = Field(ge=1, description="Last days of the labelled period, for judging only.")
    calibration_days: int = Field(ge=1, description="Days before the test window.")
    minimum_labels: int = Field(ge=1, description="Matured labels needed before calibration starts.")
    minimum_irregular: int = Field(ge=1, description="Irregular items needed among them.")


class BoostingChoice(_Part):
    """XGBoost's parameters, by the library's names."""

    max_depth: int = Field(ge=1, le=12)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_rounds: int = Field(ge=1, description="Most trees; early stopping on the calibration window.")
    early_stopping_rounds: int = Field(ge=1)
    monotone: dict[str, Literal[-1, 1]] = Field(
        default_factory=dict, description="Features whose effect may only fall (-1) or rise (1)."
    )
    device: Literal["cpu", "cuda"] = "cpu"


class CalibrationChoice(_Part):
    """When the calibration window is large enough for isotonic regression."""

    isotonic_minimum_n: int = Field(ge=2)
    isotonic_minimum_irregular: int = Field(ge=1)


class RecoveryChoice(_Part):
    """The model of USD recovered from an irregular item."""

    winsorise_quantile: float = Field(gt=0.5, le=1)
    minimum_irregular: int = Field(ge=1, description="Recoveries needed for a model of their own.")
    max_rounds: int = Field(ge=1)


class BaselineChoice(_Part):
    """What the model is compared with."""

    risk_profile: tuple[str, ...] = Field(
        min_length=1, description="Entities whose smoothed past rates are averaged."
    )


class EvaluationChoice(_Part):
    """At which inspected shares the model is judged."""

    inspection_shares: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _shares_are_shares(self) -> EvaluationChoice:
        if not all(0 < share < 1 for share in self.inspection_shares):
            raise ValueError("inspection_shares lie between 0 and 1")
        return self


class ScoringChoice(_Part):
    """What a score batch holds beside the score."""

    explained_top_share: float = Field(
        ge=0, le=1, description="Explained: this share by score and this share by expected recovery."
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


class ModelConfig(_Part):
    """One model: what it predicts, from what, how it is trained, judged and used."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="First part of the registered name.")
    target: Literal["any_irregularity", "serious"] = "any_irregularity"
    features: FeatureChoice
    split: SplitChoice
    boosting: BoostingChoice
    calibration: CalibrationChoice
    recovery: RecoveryChoice
    baselines: BaselineChoice
    evaluation: EvaluationChoice
    scoring: ScoringChoice
    seed: int | None = Field(default=None, ge=0, description="None takes the setting `seed`.")

    def registered_name(self, member_iso2: str | None) -> str:
        """Name in the model registry: `irregularity-kr`, or `irregularity-pooled` without a member."""
        return f"{self.name}-{member_iso2.lower() if member_iso2 else 'pooled'}"

    def seed_for(self, settings: Settings) -> int:
        """Seed of this model: its own, else the setting."""
        return settings.seed if self.seed is None else self.seed

    def training_fingerprint(self) -> str:
        """Digest of everything but how batches are cut and explained.

        Lane shares belong to training: their thresholds are learned on the calibration window.
        """
        chosen = self.model_dump(mode="json")
        chosen["scoring"] = {"lane_shares": chosen["scoring"]["lane_shares"]}
        return fingerprint.of_json(chosen)


def load_config(path: Path = DEFAULT_CONFIG) -> ModelConfig:
    """Read and check one model's configuration.

    Raises:
        UsageProblem: No such file, broken YAML, or every entry that is wrong, unknown keys with the
            closest known one.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(str(file) for file in CONFIG_DIR.glob("*.yaml")))
        raise UsageProblem(Problem("no such file", where=str(path), expected=f"one of {known}")) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageProblem(Problem(f"not YAML: {error}", where=str(path))) from None
    try:
        return ModelConfig.model_validate(found)
    except ValidationError as error:
        raise UsageProblem(
            Problem(
                detail["msg"].removeprefix("Value error, ") + _suggestion(detail),
                where=f"{path}: {'.'.join(str(part) for part in detail['loc']) or 'model'}",
                next_step="tidewaiter config schema prints what a model configuration may say",
            )
            for detail in error.errors()
        ) from None


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of a model configuration."""
    return ModelConfig.model_json_schema()


def choose_features(columns: list[str], config: ModelConfig) -> tuple[str, ...]:
    """Resolve the feature globs against the columns of the feature mart, in the mart's order.

    Only columns with a family prefix (`family__name`) can be features; keys and context never are.

    Raises:
        UsageProblem: A glob, a monotone feature or a risk-profile entity that matches no column.
    """
    families = [column for column in columns if "__" in column]
    globs = (*config.features.include, *config.features.exclude, *config.boosting.monotone)
    rates = tuple(f"profile__{entity}_rate" for entity in config.baselines.risk_profile)
    unmatched = [
        glob for glob in (*globs, *rates) if not any(fnmatchcase(column, glob) for column in families)
    ]
    if unmatched:
        raise UsageProblem(
            Problem(
                f"'{glob}' matches no feature{closest(glob, families)}",
                where=f"model {config.name}",
                expected="a column of the feature mart",
                next_step="tidewaiter transform builds the feature mart; docs/reference lists its columns",
            )
            for glob in unmatched
        )
    return tuple(
        column
        for column in families
        if any(fnmatchcase(column, glob) for glob in config.features.include)
        and not any(fnmatchcase(column, glob) for glob in config.features.exclude)
    )


def _suggestion(detail: Any) -> str:
    if detail["type"] != "extra_forbidden":
        return ""
    part: Any = ModelConfig
    for step in detail["loc"][:-1]:
        part = part.model_fields[step].annotation
    name = str(detail["loc"][-1])
    return f": '{name}'{closest(name, part.model_fields)}"
