"""The lock of a home: one holder, said by name, kept by an orphan, freed by death."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from flows.lock import Busy, held_descriptor, home_locked, lock_path
from tidewaiter.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings({"home": tmp_path, "lock_timeout_s": 0.3}, environment={})


def _holder(settings, body):
    """A process that takes the lock, says so, and goes on with `body`."""
    code = f"""
        import sys, time, subprocess
        from flows.lock import home_locked, held_descriptor
        from tidewaiter.settings import load_settings
        settings = load_settings({{"home": {str(settings.home)!r}}}, environment={{}})
        with home_locked(settings, "the other run"):
            print("held", flush=True)
            {body}
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_process_is_told_who_holds(settings):
    other = _holder(settings, "time.sleep(60)")
    try:
        with pytest.raises(Busy) as refusal, home_locked(settings, "mine"):
            pytest.fail("two holders")
        assert f"process {other.pid} (the other run)" in str(refusal.value)
    finally:
        other.kill()
        other.wait()


def test_killed_holder_frees_the_lock(settings):
    other = _holder(settings, "time.sleep(60)")
    other.kill()
    other.wait()
    with home_locked(settings, "mine"):
        assert held_descriptor(settings) is not None


def test_child_that_outlives_its_killed_parent_keeps_the_lock(settings):
    body = (
        "child = subprocess.Popen(['sleep', '60'], pass_fds=(held_descriptor(settings),));"
        " print(child.pid, flush=True); time.sleep(60)"
    )
    other = _holder(settings, body)
    assert other.stdout is not None
    orphan = int(other.stdout.readline())
    other.kill()
    other.wait()
    try:
        with pytest.raises(Busy), home_locked(settings, "mine"):
            pytest.fail("the orphan still works in the home")
    finally:
        subprocess.run(["kill", "-9", str(orphan)], check=True)
    with home_locked(settings.model_copy(update={"lock_timeout_s": 10}), "mine"):
        pass


def test_reentrant_within_a_process(settings):
    with home_locked(settings, "outer"), home_locked(settings, "inner"):
        assert "outer" in lock_path(settings).read_text()
    assert held_descriptor(settings) is None
