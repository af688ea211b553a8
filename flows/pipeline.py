"""The Prefect flows: all of it, the daily refresh, the weekly training, the backfill, the demo.

A flow holds the home's lock, sends members through the steps side by side, takes a member out at the
first step that refuses or fails it, and goes on with the others. It ends as failed when any member
did not go through, and its message says which and why: the others are published all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from flows import (
    dossiers,
    gates,
    ingest,
    integrity,
    integrity_reading,
    learning,
    manifest,
    publish,
    record,
    transform,
    watching,
)
from flows.artifacts import publish_artifacts
from flows.environment import prepare_environment
from flows.lock import home_locked
from flows.outcome import MemberOutcome, MemberState, RunOutcome
from tidewaiter.contracts import list_members
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import Settings, load_settings

Training = Literal["always", "if_missing"]
POOLED = "pooled"

_MINUTE = 60
_HOUR = 60 * _MINUTE
# How many members at a time: `prepare_environment` hands the setting to Prefect.
_runner: Any = ThreadPoolTaskRunner()


def is_transient(_task: Any, _run: Any, state: State) -> bool:
    """Whether a failed task is worth another try: what we foresaw will fail the same way again."""
    try:
        state.result()
    except TidewaiterError:
        return False
    except Exception:  # any other error may be a disk or a network in trouble
        return True
    return False


def _step(name: str, *tags: str, timeout_seconds: int | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of a task that works on one member.

    Only what runs in the flow's own thread (transform, publish) has a timeout of its own: Prefect
    cannot interrupt a worker thread, and there the flow's timeout is the bound.
    """
    return task(
        name=name,
        task_run_name=f"{name}-{{member}}",
        tags=["tidewaiter", *tags],
        retries=2,
        retry_delay_seconds=exponential_backoff(backoff_factor=5),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_transient,
        timeout_seconds=timeout_seconds,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


@_step("land", "landing")
def land_task(member: str) -> Any:
    """Land the new extracts of one member."""
    return ingest.ingest_member(load_settings(), member)


@_step("gate-landing", "gate")
def gate_landing_task(member: str) -> Any:
    """Judge the member's extracts that have not been judged."""
    return gates.gate_landing(load_settings(), member)


@_step("transform", "dbt", timeout_seconds=6 * _HOUR)
def transform_task(member: str, stage: transform.Stage, inputs: str) -> Any:
    """Run one side of the dbt project, for all members at once."""
    return transform.transform(load_settings(), stage, inputs)


@_step("gate-features", "gate")
def gate_features_task(member: str) -> Any:
    """Judge the member's features."""
    return gates.gate_features(load_settings(), member)


@_step("train", "training")
def train_task(member: str, training: Training) -> Any:
    """Train the member's model, or the pooled one, unless it stands already."""
    return learning.train(
        load_settings(), None if member == POOLED else member, only_if_missing=training == "if_missing"
    )


@_step("score", "scoring")
def score_task(member: str, from_date: date | None, to_date: date | None) -> Any:
    """Score the member's window with its champion, pass the gate, accept."""
    return learning.score(load_settings(), member, from_date, to_date)


@_step("watch-drift", "monitoring")
def watch_task(member: str) -> Any:
    """Compare the member's recent items with what its champion knows; raise an event past a limit."""
    report = watching.watch(load_settings(), member)
    if report is not None:
        watching.announce(report)
    return report


@_step("publish", "publication", timeout_seconds=_HOUR)
def publish_task(member: str, fresh: list[str], carried: list[str]) -> Any:
    """Write a set and make it the current one."""
    return publish.publish(load_settings(), fresh, carried)


@_step("integrity", "integrity")
def integrity_task(member: str, newest_only: bool) -> Any:
    """Compute what is new of the member's integrity signals."""
    return integrity.run(load_settings(), member, newest_only=newest_only)


@flow(
    name="run", flow_run_name="run", timeout_seconds=12 * _HOUR, task_runner=_runner, validate_parameters=True
)
def run(
    members: list[str] | None = None,
    from_date: date | None = None,
    to_date: date | None = None,
    training: Training = "always",
) -> Any:
    """All of it: land, validate, transform, train, score, publish.

    Args:
        members: Codes of the members; None for every member that has a contract.
        from_date: First registration date to score; None for the champion's test window.
        to_date: Last registration date to score; None for the end of the data.
        training: `always` trains when data, features or configuration changed; `if_missing` only
            where a member has no champion.
    """
    return _finish(_run_members("run", members, from_date, to_date, training))


@flow(name="member-refresh", flow_run_name="member-refresh", timeout_seconds=12 * _HOUR, task_runner=_runner)
def member_refresh(members: list[str] | None = None) -> Any:
    """The daily flow: land what is new, score it with the champions, publish."""
    return _finish(_run_members("member-refresh", members, None, None, "if_missing"))


@flow(name="backfill", flow_run_name="backfill-{from_date}", timeout_seconds=24 * _HOUR, task_runner=_runner)
def backfill(from_date: date, to_date: date, members: list[str] | None = None) -> Any:
    """Score a past window again with the champions; rows outside the window stay as they are."""
    return _finish(_run_members("backfill", members, from_date, to_date, "if_missing"))


@flow(
    name="weekly-training", flow_run_name="weekly-training", timeout_seconds=12 * _HOUR, task_runner=_runner
)
def weekly_training(members: list[str] | None = None) -> Any:
    """Train every member and the pooled model on the features that stand; register challengers."""
    settings = _prepare()
    started = time.monotonic()
    codes = members or manifest.accepted_members(settings)
    outcome = RunOutcome({code: MemberOutcome(code) for code in [*codes, POOLED]}, purpose="trained")
    with home_locked(settings, "flow weekly-training"):
        _train(outcome, [*codes, POOLED], "always")
    outcome.seconds = time.monotonic() - started
    return _finish(outcome)


@flow(name="demo", flow_run_name="demo", timeout_seconds=2 * _HOUR, task_runner=_runner)
def demo() -> Any:
    """Generate the synthetic members and send them, and the Korean set where present, through all of it."""
    settings = _prepare()
    ingest.generate_synthetic(settings)
    return _finish(_run_members("demo", ingest.demo_members(settings), None, None, "always"))


def _prepare() -> Settings:
    settings = load_settings()
    prepare_environment(settings)
    return settings


def _run_members(
    name: str,
    members: list[str] | None,
    from_date: date | None,
    to_date: date | None,
    training: Training,
) -> RunOutcome:
    settings = _prepare()
    started = time.monotonic()
    codes = sorted({code.upper() for code in members or list_members(settings.members_dir)})
    outcome = RunOutcome({code: MemberOutcome(code) for code in codes})
    with home_locked(settings, f"flow {name}"):
        _land(settings, outcome)
        if _going(outcome) and _transform(settings, outcome, "before_scoring"):
            _over_members(gate_features_task, outcome, "features gate")
            _train(outcome, [*_going(outcome), POOLED], training)
            _score(outcome, from_date, to_date)
            _watch(outcome)
            if _going(outcome) and _transform(settings, outcome, "after_scoring"):
                _publish(settings, outcome)
                # The demo shows where it stands, and leaves the looks of two years to a command.
                _integrity(settings, outcome, newest_only=name == "demo")
    if outcome.publication_id is None and (current := publish.current_publication(settings)):
        outcome.publication_id = current["publication_id"]
        outcome.was_current = True
    outcome.seconds = time.monotonic() - started
    return outcome


def _land(settings: Settings, outcome: RunOutcome) -> None:
    for code, report in _over_members(land_task, outcome, "landing").items():
        member = outcome.members[code]
        if report.is_absent:
            member.state = MemberState.ABSENT
            member.notes.append(report.note)
    _over_members(gate_landing_task, outcome, "landing gate")
    rows = manifest.write_manifest(settings)
    for code, member in outcome.members.items():
        own = [row for row in rows if row.member_iso2 == code]
        member.rows_in, member.rows_landed, member.rows_quarantined = manifest.item_counts(own)


def _transform(settings: Settings, outcome: RunOutcome, stage: transform.Stage) -> bool:
    """Run dbt for all members; a failure stops them all, because they share the warehouse."""
    rows = manifest.read_manifest(settings)
    inputs = transform.inputs_digest(rows)
    if stage == "after_scoring":
        inputs += learning.accepted_runs_digest(settings)
    try:
        report = transform_task(member=stage, stage=stage, inputs=inputs)
    except Exception as error:  # told to every member below, and in the outcome
        for code in _going(outcome):
            outcome.members[code].stop("transform", error)
        return False
    outcome.notes += [f"dbt warns: {warning}" for warning in report.warnings]
    return True


def _train(outcome: RunOutcome, codes: Iterable[str], training: Training) -> None:
    """Train side by side. A member with too few labels goes on: the pooled model may score it."""
    futures = {code: train_task.submit(member=code, training=training) for code in codes}
    for code, future in futures.items():
        error = _error_of(future)
        if error is None:
            continue
        member = outcome.members.get(code)
        if member is None:
            outcome.notes.append(f"no {code} model: {error}")
        elif isinstance(error, TidewaiterError):
            member.notes.append(f"no model of its own: {error}")
        else:
            member.stop("training", error)


def _score(outcome: RunOutcome, from_date: date | None, to_date: date | None) -> None:
    """Score side by side. A member that no model can score goes on: the rest of it is published."""
    from ml.score import NoChampion

    reports = _over_members(
        score_task, outcome, "scoring", spared=NoChampion, from_date=from_date, to_date=to_date
    )
    for code in sorted(set(_going(outcome)) - set(reports)):
        outcome.members[code].notes.append(
            "not scored: no label to learn from, and no model of other members to score it by"
        )
    for code, report in reports.items():
        member = outcome.members[code]
        member.items_scored = report.items_scored
        member.model_name, member.model_version = report.model_name, report.model_version
        member.metrics = report.metrics


def _watch(outcome: RunOutcome) -> None:
    """Watch for drift. It tells and holds nobody back: scores are published either way."""
    futures = {code: watch_task.submit(member=code) for code in _going(outcome)}
    for code, future in futures.items():
        error, member = _error_of(future), outcome.members[code]
        if error is not None:
            member.notes.append(f"drift was not watched: {error}")
        elif (report := future.result()) is not None:
            member.notes += [
                f"drift {one.severity}: {one.words}" for one in report.findings if one.severity == "alarm"
            ]


def _publish(settings: Settings, outcome: RunOutcome) -> None:
    fresh = _going(outcome)
    others = set(manifest.known_members(settings)) - set(fresh)
    try:
        publication = publish_task(member="set", fresh=fresh, carried=sorted(others))
    except Exception as error:  # told to every member
        for code in fresh:
            outcome.members[code].stop("publish", error)
        return
    outcome.publication_id = publication.publication_id
    outcome.published_rows = dict(publication.rows)
    outcome.was_current = publication.was_current


def _integrity(settings: Settings, outcome: RunOutcome, *, newest_only: bool) -> None:
    """Look for signals that deserve a second look. Scores are published by now: it holds nobody back."""
    inputs = transform.inputs_digest(manifest.read_manifest(settings))
    try:
        transform_task(member="integrity", stage="integrity", inputs=inputs)
    except Exception as error:  # told in the outcome; the published set stands
        outcome.notes.append(f"integrity was not looked at: {error}")
        return
    futures = {code: integrity_task.submit(member=code, newest_only=newest_only) for code in _going(outcome)}
    for code, future in futures.items():
        failure, member = _error_of(future), outcome.members[code]
        if failure is not None:
            member.notes.append(f"integrity was not looked at: {failure}")
        else:
            member.notes.append(f"integrity: {integrity.describe(future.result())}")
    try:
        integrity_reading.publish_signals(settings)
        dossiers.purge_dossiers(settings, datetime.now(UTC).date())
    except Exception as error:  # told in the outcome; who reads the set finds the one before
        outcome.notes.append(f"the integrity set was not published, or its dossiers not purged: {error}")


def _going(outcome: RunOutcome) -> list[str]:
    return sorted(code for code, member in outcome.members.items() if member.goes_on)


def _over_members(
    step: Any,
    outcome: RunOutcome,
    label: str,
    spared: type[Exception] | tuple[type[Exception], ...] = (),
    **arguments: Any,
) -> dict[str, Any]:
    """Run a task for every member that goes on; take out those that fail; return the others' results.

    Members whose error is among the `spared` stay, without a result.
    """
    futures = {code: step.submit(member=code, **arguments) for code in _going(outcome)}
    results: dict[str, Any] = {}
    for code, future in futures.items():
        error = _error_of(future)
        if error is None:
            results[code] = future.result()
        elif not isinstance(error, spared):
            outcome.members[code].stop(label, error)
    return results


def _error_of(future: PrefectFuture[Any]) -> Exception | None:
    try:
        future.result()
    except Exception as error:  # handed to the outcome, which tells it
        return error
    return None


def _finish(outcome: RunOutcome) -> Any:
    """Put the outcome on record and into Prefect's artifacts, and say it in the run's final state."""
    settings = load_settings()
    record.write_outcome(settings, outcome)
    publish_artifacts(settings, outcome)
    logger = get_run_logger()
    for member in outcome.members.values():
        for problem in member.problems:
            logger.error("%s: %s", member.member_iso2, problem)
    if outcome.exit_code == 0:
        return Completed(message=outcome.sentence)
    return Failed(message=outcome.sentence)
