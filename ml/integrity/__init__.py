"""Integrity: statistical signals on assignments, clearances, valuations and the random draw.

Each signal is a hint that something deserves a second look, "to be checked" and nothing more. Observed
counts and expectations come from dbt; here stand the exact tests, the control of false discoveries, and the
words that go with a signal. Nothing here reads a declaration or the truth behind synthetic ones.
"""
