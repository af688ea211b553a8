"""The gates: what a member sent, what the models learn from and what is published must be fit.

`expectations.gate.run_gate` is the way in. Suites come from the canonical model and from the limits
in `suites/*.yaml`; Great Expectations runs them inside DuckDB. Keys and SQL logic are dbt's to test;
telling people about a refusal is up to the caller.
"""
