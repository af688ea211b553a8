"""Pseudonyms: same person, same pseudonym, and no way to the key."""

from __future__ import annotations

import copy
import hashlib
import hmac
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewaiter.canonical import load_dataset
from tidewaiter.erasures import normalise_identifier
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.home import Home
from tidewaiter.pseudonyms import KEY_VARIABLE, Pseudonymiser, load_pseudonymiser, purpose_of

KEY = "ab" * 32
FULL_WIDTH_ACME = "\uff21\uff23\uff2d\uff25"


def one(
    pseudonymiser: Pseudonymiser, identifier: str, member: str = "XT", purpose: str = "importer"
) -> str | None:
    return pseudonymiser.pseudonymise(member, purpose, [identifier])[0]


def test_known_answer():
    # Another value would cut every member off from its own history. Computed by hand:
    # HMAC(HMAC(key, "tidewaiter pseudonyms v1" US "member=XT" US "purpose=importer"), "ACME 1").
    assert one(Pseudonymiser(bytes(32)), "ACME 1") == "edb368ea5f6f099f6ac8f8d40d05b2af"


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=64), st.text(min_size=1))
def test_a_pseudonym_is_the_hmac_of_the_normalised_identifier(key, identifier):
    normalised = normalise_identifier(identifier).encode()
    derived = hmac.digest(key, b"tidewaiter pseudonyms v1\x1fmember=XT\x1fpurpose=importer", hashlib.sha256)
    expected = hmac.digest(derived, normalised, hashlib.sha256).hex()[:32] if normalised else None
    assert one(Pseudonymiser(key), identifier) == expected


def test_spelling_does_not_matter_and_nothing_else_is_merged():
    pseudonymiser = Pseudonymiser(b"k" * 32)
    assert one(pseudonymiser, "acme") == one(pseudonymiser, "  ACME\t") == one(pseudonymiser, FULL_WIDTH_ACME)
    others = [
        one(pseudonymiser, "acme"),
        one(pseudonymiser, "acme2"),
        one(pseudonymiser, "acme", member="XU"),
        one(pseudonymiser, "acme", purpose="seller"),
        one(Pseudonymiser(b"q" * 32), "acme"),
    ]
    assert len(set(others)) == 5
    assert all(found is not None and len(found) == 32 and int(found, 16) >= 0 for found in others)


def test_nobody_has_no_pseudonym_and_order_is_kept():
    pseudonymiser = Pseudonymiser(b"k" * 32)
    found = pseudonymiser.pseudonymise("XT", "importer", ["b", None, " ", "\u3000", "a"])
    assert found == [one(pseudonymiser, "b"), None, None, None, one(pseudonymiser, "a")]


def test_first_and_last_inspector_share_a_purpose():
    purposes = {
        field.name: purpose_of(field.name)
        for field in load_dataset("declaration_items").fields
        if field.is_pseudonymised
    }
    assert purposes == {
        "importer_id": "importer",
        "declarant_id": "declarant",
        "seller_id": "seller",
        "courier_id": "courier",
        "inspector_initial_id": "inspector",
        "inspector_final_id": "inspector",
    }


def test_the_key_shows_nowhere():
    pseudonymiser = Pseudonymiser(bytes.fromhex(KEY))
    assert repr(pseudonymiser) == f"Pseudonymiser(key_id={pseudonymiser.key_id!r})"
    assert pseudonymiser.key_id not in KEY
    assert pseudonymiser.key_id != Pseudonymiser(b"q" * 32).key_id
    for store in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not to be stored"):
            store(pseudonymiser)


def test_the_environment_wins_and_no_file_is_made(tmp_path):
    found = load_pseudonymiser(Home(tmp_path), {KEY_VARIABLE: f" {KEY}\n"})
    assert found.key_id == Pseudonymiser(bytes.fromhex(KEY)).key_id
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["ab" * 31, "zz" * 32, "0123456789"])
def test_a_weak_key_is_refused_without_showing_it(tmp_path, key):
    with pytest.raises(UsageProblem) as raised:
        load_pseudonymiser(Home(tmp_path), {KEY_VARIABLE: key})
    assert key not in str(raised.value)
    assert "at least 32 bytes" in str(raised.value)


def test_a_key_is_generated_once_and_closed_to_others(tmp_path):
    first = load_pseudonymiser(Home(tmp_path), {})
    assert load_pseudonymiser(Home(tmp_path), {}).key_id == first.key_id
    (path,) = (tmp_path / "keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path):
    load_pseudonymiser(Home(tmp_path), {})
    path = tmp_path / "keys" / "pseudonym.key"
    path.chmod(0o640)
    with pytest.raises(TidewaiterError, match=r"chmod 600 .*pseudonym\.key"):
        load_pseudonymiser(Home(tmp_path), {})


def test_a_broken_key_file_is_a_clear_error(tmp_path):
    load_pseudonymiser(Home(tmp_path), {})
    (tmp_path / "keys" / "pseudonym.key").write_text("é")
    with pytest.raises(UsageProblem, match="not usable"):
        load_pseudonymiser(Home(tmp_path), {})


def test_racing_processes_end_up_with_one_key(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tidewaiter.home import Home;"
        "from tidewaiter.pseudonyms import load_pseudonymiser;"
        "sys.stdin.read(); print(load_pseudonymiser(Home(Path(sys.argv[1])), {}).key_id)"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    for racer in racers:
        racer.stdin.close()
    key_ids = {racer.stdout.read() for racer in racers}
    assert [racer.wait() for racer in racers] == [0] * 4
    assert len(key_ids) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["pseudonym.key"]
