"""The repository itself: locks complete and free of addresses, no machine's paths, one way to run it."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from tidewaiter.settings import PROJECT_ROOT

_LOCKS = ("requirements.lock", "requirements-dev.lock")


def _tracked():
    done = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [PROJECT_ROOT / name for name in done.stdout.splitlines() if (PROJECT_ROOT / name).is_file()]


def _pins(lock):
    text = (PROJECT_ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9_.\-]+)==([^\s;\\]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_pin_has_a_hash_and_no_address(lock):
    text = (PROJECT_ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    pinned = [block for block in blocks if re.match(r"[a-z0-9_.\-]+==", block)]
    assert pinned
    assert [block.split()[0] for block in pinned if "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|--index-url|--find-links|file:", text)


def test_the_locks_agree():
    runtime, development = _pins("requirements.lock"), _pins("requirements-dev.lock")
    assert runtime
    assert {name: development.get(name) for name in runtime} == runtime


def test_every_dependency_is_locked_and_every_cap_has_a_reason():
    lines = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads("\n".join(lines))["project"]
    pins = _pins("requirements.lock")
    for dependency in project["dependencies"]:
        assert re.split(r"[<>=!\[]", dependency)[0] in pins
        line = next(line for line in lines if line.startswith(f'  "{dependency}",'))
        assert "#" in line, f"{dependency} says no reason"


def test_no_path_of_one_machine():
    pattern = re.compile(r"/(?:work|farm|root|home/\w+)/")
    own = {PROJECT_ROOT / "tests" / "unit" / "project" / "test_project_files.py"}
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{number}"
        for path in _tracked()
        if path not in own and path.suffix not in {".lock", ".png", ".svg"}
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_readme_names_commands_that_exist():
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make ([a-z-]+)`?", readme):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"make {target}"
