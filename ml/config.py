"""What a data scientist may choose: one YAML file per model, checked on reading.

Thresholds and features live in `configs/*.yaml`; this module only says what may stand there.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from ml.choices import (
    ALL_FAMILIES,
    BaselineChoice,
    BoostingChoice,
    CalibrationChoice,
    DriftLimits,
    EvaluationChoice,
    FeatureChoice,
    GateChoice,
    Part,
    RecoveryChoice,
    ScoringChoice,
    SearchChoice,
    SplitChoice,
    WeightChoice,
)
from tidewaiter import fingerprint
from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.settings import Settings

CONFIG_DIR = Path(__file__).resolve().parent / "configs"
DEFAULT_CONFIG = CONFIG_DIR / "irregularity.yaml"


class ModelConfig(Part):
    """One model: what it predicts, from what, how it is trained, judged and used."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="First part of the registered name.")
    owner: str = Field(default="data science", description="Who answers for the model; on its card.")
    purpose: str = Field(default="", description="What it is for and what not; on its card.")
    target: Literal["any_irregularity", "serious", "recovered_revenue"] = Field(
        default="any_irregularity",
        description="`recovered_revenue`: the score orders by USD recovered, irregular or not.",
    )
    pooled_members: tuple[str, ...] = Field(
        default=(), description="Members of the pooled model; empty: all with enough labels."
    )
    features: FeatureChoice
    split: SplitChoice
    weights: WeightChoice = WeightChoice()
    boosting: BoostingChoice
    calibration: CalibrationChoice
    recovery: RecoveryChoice
    baselines: BaselineChoice
    evaluation: EvaluationChoice
    scoring: ScoringChoice
    gates: GateChoice = GateChoice()
    drift: DriftLimits = DriftLimits()
    search: SearchChoice = SearchChoice()
    seed: int | None = Field(default=None, ge=0, description="None takes the setting `seed`.")

    def registered_name(self, member_iso2: str | None) -> str:
        """Name in the model registry: `irregularity-kr`, or `irregularity-pooled` without a member."""
        return f"{self.name}-{member_iso2.lower() if member_iso2 else 'pooled'}"

    def seed_for(self, settings: Settings) -> int:
        """Seed of this model: its own, else the setting."""
        return settings.seed if self.seed is None else self.seed

    def training_fingerprint(self) -> str:
        """Digest of everything but how batches are cut and explained, searched, watched and gated.

        Lane shares belong to training: their thresholds are learned on the calibration window. Gates
        are read when somebody promotes.
        """
        chosen = self.model_dump(mode="json", exclude={"search", "drift", "gates"})
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
    """Resolve families and globs against the columns of the feature mart, in the mart's order.

    Only columns with a family prefix (`family__name`) can be features; keys and context never are.

    Raises:
        UsageProblem: A family, a glob, a monotone feature or a risk-profile entity that matches nothing.
    """
    known = [column for column in columns if "__" in column]
    chosen = config.features
    families = {column.partition("__")[0] for column in known}
    wrong = [(name, families) for name in chosen.families if name not in {*families, ALL_FAMILIES}]
    globs = (*chosen.include, *chosen.exclude, *config.boosting.monotone)
    rates = tuple(f"profile__{entity}_rate" for entity in config.baselines.risk_profile)
    wrong += [
        (glob, set(known))
        for glob in (*globs, *rates)
        if not any(fnmatchcase(column, glob) for column in known)
    ]
    if wrong:
        raise UsageProblem(
            Problem(
                f"'{name}' matches no feature{closest(name, sorted(names))}",
                where=f"model {config.name}",
                expected="a family or a column of the feature mart",
                next_step="tidewaiter transform builds the feature mart; docs/reference lists its columns",
            )
            for name, names in wrong
        )
    return tuple(column for column in known if _is_chosen(column, chosen))


def _is_chosen(column: str, chosen: FeatureChoice) -> bool:
    family = column.partition("__")[0]
    taken = family in chosen.families or ALL_FAMILIES in chosen.families
    taken = taken or any(fnmatchcase(column, glob) for glob in chosen.include)
    return taken and not any(fnmatchcase(column, glob) for glob in chosen.exclude)


def _suggestion(detail: Any) -> str:
    if detail["type"] != "extra_forbidden":
        return ""
    part: Any = ModelConfig
    for step in detail["loc"][:-1]:
        part = part.model_fields[step].annotation if isinstance(step, str) else None
        if not (isinstance(part, type) and issubclass(part, BaseModel)):
            return ""
    name = str(detail["loc"][-1])
    return f": '{name}'{closest(name, part.model_fields)}"
