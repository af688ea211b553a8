"""What the model must beat, on the same test rows: chance, money at stake, rules, a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.data import Floats, LabelledItems, Mask
from ml.evaluate import Evaluation, evaluate


@dataclass(frozen=True)
class Baseline:
    """One baseline's scores on a set of items.

    Attributes:
        name: `random_expected`, `random_draw`, `declared_duty`, `risk_profile` or
            `logistic_regression`.
        score: Higher is inspected earlier.
        probability: Where the baseline claims one.
    """

    name: str
    score: Floats
    probability: Floats | None = None


def simple_baselines(declared_tax_usd: Floats, risk_profile: Floats, seed: int) -> list[Baseline]:
    """Return the baselines that learn nothing.

    `random_expected` gives every item the same score: with ties shared, its figures are the exact
    expectation of a random selection. `random_draw` is one seeded draw.

    Args:
        declared_tax_usd: In the order of the items' keys.
        risk_profile: As `data.risk_profile_column` computes it.
        seed: Of the draw.
    """
    n = len(declared_tax_usd)
    return [
        Baseline("random_expected", np.zeros(n)),
        Baseline("random_draw", np.random.default_rng(seed).random(n)),
        Baseline("declared_duty", declared_tax_usd),
        Baseline("risk_profile", risk_profile),
    ]


def logistic_baseline(train: LabelledItems, test: LabelledItems, seed: int, categories: int = 0) -> Baseline:
    """Fit a penalised logistic regression on the training items and score the test items.

    Medians fill what is missing, with a flag beside; every column is standardised. The last
    `categories` columns are codes, not quantities, and are left out.
    """
    columns = slice(0, train.matrix.shape[1] - categories)
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    pipeline = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(solver="newton-cholesky", max_iter=500, random_state=seed),
    )
    # The normal equations are small: a second BLAS thread costs four times the time it saves.
    with threadpool_limits(limits=1, user_api="blas"):
        pipeline.fit(train.matrix[:, columns].astype(np.float64), train.is_irregular)
        probability = pipeline.predict_proba(test.matrix[:, columns].astype(np.float64))[:, 1]
    return Baseline("logistic_regression", probability, probability)


def evaluate_baselines(
    baselines: list[Baseline],
    is_irregular: Mask,
    recovered_usd: Floats,
    is_novel_line: Mask,
    shares: tuple[float, ...],
) -> dict[str, Evaluation]:
    """Judge every baseline on the same items as the model."""
    return {
        baseline.name: evaluate(
            baseline.score, is_irregular, recovered_usd, shares, baseline.probability, is_novel_line
        )
        for baseline in baselines
    }
