"""Contracts: reading and checking `members/<code>/contract.yaml`."""

from tidewaiter.contracts.load import list_members, load_contract
from tidewaiter.contracts.model import Contract, CsvFormat, Extract, FieldMapping, Location

__all__ = [
    "Contract",
    "CsvFormat",
    "Extract",
    "FieldMapping",
    "Location",
    "list_members",
    "load_contract",
]
