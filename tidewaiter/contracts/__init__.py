"""Contracts: reading and checking `members/<code>/contract.yaml`."""

from tidewaiter.contracts.fields import FieldMapping, SequenceBy
from tidewaiter.contracts.formats import (
    FORMATS,
    AnyFormat,
    Archive,
    CsvFormat,
    ExcelFormat,
    FixedWidthFormat,
    JsonFormat,
    ParquetFormat,
    XmlFormat,
)
from tidewaiter.contracts.load import list_members, load_contract
from tidewaiter.contracts.location import FolderLocation, Location, RemoteLocation, source_name
from tidewaiter.contracts.model import Contract, Extract
from tidewaiter.contracts.remote import DatabaseLocation, HttpLocation, S3Location, SftpLocation

__all__ = [
    "FORMATS",
    "AnyFormat",
    "Archive",
    "Contract",
    "CsvFormat",
    "DatabaseLocation",
    "ExcelFormat",
    "Extract",
    "FieldMapping",
    "FixedWidthFormat",
    "FolderLocation",
    "HttpLocation",
    "JsonFormat",
    "Location",
    "ParquetFormat",
    "RemoteLocation",
    "S3Location",
    "SequenceBy",
    "SftpLocation",
    "XmlFormat",
    "list_members",
    "load_contract",
    "source_name",
]
