"""Where everything that Tidewaiter writes lives: one folder, `TIDEWAITER_HOME`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The layout of `TIDEWAITER_HOME`. Paths only; creating them is up to whoever writes.

    Attributes:
        root: The folder itself, absolute.
    """

    root: Path

    @property
    def synthetic(self) -> Path:
        """Extracts of the synthetic members, as their customs system would send them."""
        return self.root / "synthetic"

    @property
    def raw(self) -> Path:
        """Original bytes, one folder per member and SHA-256."""
        return self.root / "raw"

    @property
    def inbox(self) -> Path:
        """What was fetched from remote sources, one folder per member, source and arrival."""
        return self.root / "inbox"

    @property
    def landing(self) -> Path:
        """Typed canonical Parquet, quarantine and receipts, one folder per extract."""
        return self.root / "landing"

    @property
    def gates(self) -> Path:
        """Verdicts of the gates, as JSON, and their Data Docs."""
        return self.root / "gates"

    @property
    def data_docs(self) -> Path:
        """Great Expectations' site; open `index.html`."""
        return self.gates / "data_docs"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that only dbt opens."""
        return self.root / "warehouse" / "warehouse.duckdb"

    @property
    def marts(self) -> Path:
        """Parquet that dbt hands to the other rooms, one file per mart table."""
        return self.root / "marts"

    @property
    def dbt_target(self) -> Path:
        """What dbt makes: compiled SQL, manifest, run results and docs site."""
        return self.root / "dbt"

    @property
    def scores(self) -> Path:
        """Accepted score batches, one folder per member."""
        return self.root / "scores"

    @property
    def integrity(self) -> Path:
        """Signals on persons and firms, apart from everything that analysts open."""
        return self.root / "integrity"

    @property
    def publications(self) -> Path:
        """Published sets, immutable once written; `published` points at the current one."""
        return self.root / "publications"

    @property
    def published(self) -> Path:
        """A link to the current published set."""
        return self.root / "published"

    @property
    def mlflow(self) -> Path:
        """MLflow's SQLite file and artifacts, where no server is configured."""
        return self.root / "mlflow"

    @property
    def prefect(self) -> Path:
        """Prefect's own home, where no server is configured."""
        return self.root / "prefect"

    @property
    def state(self) -> Path:
        """Small JSON records of finished steps, and lock files."""
        return self.root / "state"

    @property
    def keys(self) -> Path:
        """Generated pseudonym keys (mode 600), where none comes from the environment."""
        return self.root / "keys"

    @property
    def erasures(self) -> Path:
        """Lists of erased subjects as keyed tokens, and receipts of erasures; no identifier."""
        return self.root / "erasures"

    def extract_folder(self, dataset: str, member_iso2: str, extract_id: str) -> Path:
        """Folder of one landed extract: `rows.parquet`, `quarantine.parquet`, `receipt.json`."""
        return self.landing / dataset / f"member={member_iso2}" / f"extract={extract_id}"
