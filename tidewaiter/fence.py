"""The fence around the truth: what lies in a synthetic member's `truth/` can never be landed."""

from __future__ import annotations

from pathlib import Path

from tidewaiter.errors import Problem, UsageProblem

EXTRACTS, TRUTH = "extracts", "truth"


def refuse_truth(path: Path) -> None:
    """Refuse a file that is the truth behind synthetic extracts, by whatever way it was reached.

    Raises:
        UsageProblem: The file lies in a folder `truth` that stands beside a folder `extracts`.
    """
    resolved = path.resolve()
    for folder in resolved.parents:
        if folder.name == TRUTH and (folder.parent / EXTRACTS).is_dir():
            raise UsageProblem(
                Problem(
                    "the truth behind synthetic extracts is not landed",
                    where=str(path),
                    expected=f"a file under {folder.parent / EXTRACTS}",
                    next_step="correct the location in the member's contract",
                )
            )
