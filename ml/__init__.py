"""Learning and scoring: XGBoost learns, MLflow remembers, rows stay in DuckDB and Arrow.

The room reads the feature and label marts as Parquet and hands back score batches as Parquet. It
knows neither the gates nor the flows. Importing it is cheap; XGBoost, MLflow, scikit-learn and
matplotlib are imported where they are used.
"""
