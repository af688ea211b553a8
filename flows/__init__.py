"""Flows: the command line, the Prefect flows, and the steps they string together.

The only room that knows Prefect, dbt's command and the rooms below. Steps are plain functions of
settings and inputs; a flow wraps them in tasks, a command calls one directly.
"""
