"""Learning and scoring: XGBoost learns, MLflow remembers, rows stay in DuckDB and Arrow.

The room reads the feature and label marts as Parquet and hands back score batches as Parquet. It
knows neither the gates nor the flows. Importing it is cheap; XGBoost, MLflow, scikit-learn and
matplotlib are imported where they are used.
"""

import os

# OpenMP's threads spin while they wait, unless told otherwise before its library is loaded. With
# several members at work on few cores, spinning made the same fit ten times slower (22 s, not 2).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
