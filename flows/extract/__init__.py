"""Extract: bringing a member's bytes from where they are into the inbox, whole and once.

A source says what is new and takes it in; what the bytes mean is landing's business. Whatever is in
the inbox is complete: a download that breaks off stays a hidden partial file, is resumed where the
server can, and never counts. The libraries do the talking: fsspec to web servers, S3 and SFTP,
DuckDB to PostgreSQL and SQLite, SQLAlchemy to any other database.
"""

from flows.extract.source import Source, open_source

__all__ = ["Source", "open_source"]
