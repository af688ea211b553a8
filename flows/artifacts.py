"""What a run leaves in Prefect: a summary in words, a table, and a link to each refused gate's page."""

from __future__ import annotations

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.outcome import MemberState, RunOutcome
from flows.summary import markdown_summary, member_rows
from flows.watching import moved_features
from tidewaiter.settings import Settings


def publish_artifacts(settings: Settings, outcome: RunOutcome) -> None:
    """Create the artifacts of the current flow run."""
    create_markdown_artifact(
        key="run-summary",
        markdown=markdown_summary(settings, outcome),
        description=outcome.sentence,
    )
    create_table_artifact(
        key="run-members", table=member_rows(outcome), description="Members of the run, one row each"
    )
    create_table_artifact(
        key="features-moved",
        table=moved_features(settings),
        description="Features whose latest month lies beyond the limits, one row each",
    )
    for code in outcome.in_state(MemberState.HELD):
        member = outcome.members[code]
        create_link_artifact(
            key=f"gate-refused-{code.lower()}",
            link=(settings.paths.data_docs / "index.html").as_uri(),
            link_text=f"Data Docs: {code} was refused at the {member.stopped_at}",
            description="\n\n".join(str(problem) for problem in member.problems),
        )
