"""Landing: from the bytes a member sends to typed canonical rows, with nothing lost on the way.

Every row of a file ends in `rows.parquet` or in `quarantine.parquet` with all its reasons, and the
receipt proves it by count and by line. Here belongs what turns source text into canonical columns;
what a column must look like belongs to the canonical model, where it comes from to the contract.
"""

from tidewaiter.landing.arrivals import land_files
from tidewaiter.landing.find import arrived_files, find_files, inbox_folder, left_out, missing_location
from tidewaiter.landing.land import land_file
from tidewaiter.landing.raw import StoredRaw, store_raw
from tidewaiter.landing.receipts import ExtractRefused, Receipt, landed_receipts
from tidewaiter.landing.schema_files import write_schema_files

__all__ = [
    "ExtractRefused",
    "Receipt",
    "StoredRaw",
    "arrived_files",
    "find_files",
    "inbox_folder",
    "land_file",
    "land_files",
    "landed_receipts",
    "left_out",
    "missing_location",
    "store_raw",
    "write_schema_files",
]
