"""Where a contract may say that bytes are, and that no secret can be written into one."""

from __future__ import annotations

from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tidewaiter.contracts import Contract, Location, load_contract, source_name
from tidewaiter.contracts.remote import HttpLocation
from tidewaiter.contracts.strict import may_hold_a_secret
from tidewaiter.errors import UsageProblem
from tidewaiter.landing import find_files, missing_location
from tidewaiter.settings import Settings

SECRET = "geheim-4711"
SFTP = {"kind": "sftp", "host": "h", "known_hosts": "k", "username": {"env": "U"}, "password": {"env": "P"}}
S3 = {"kind": "s3", "bucket": "customs"}
HTTP = {"kind": "http", "url": "https://example.org/a.csv"}
DATABASE = {"kind": "database", "url": {"env": "XT_DATABASE"}, "table": "items"}


def location(found):
    return TypeAdapter(Location).validate_python(found)


@pytest.mark.parametrize(
    "found",
    [
        {"env": "XT_FOLDER"},
        {"home": "a/b"},
        {"member": "sent"},
        {"path": "/mnt/customs"},
        {"kind": "folder", "path": "/mnt/customs"},
        HTTP,
        HTTP | {"url": ["https://example.org/a.csv", "http://example.org:8080/b.csv?year=2024"]},
        HTTP | {"url": "https://example.org/{date:%Y/%m}.csv", "dates": {"first": "2024-01-01"}},
        S3 | {"access_key": {"env": "K"}, "secret_key": {"block": "xt-secret"}},
        SFTP,
        DATABASE,
        {"kind": "database", "sqlite": "items.db", "query": "select 1 as a"},
    ],
)
def test_each_kind_of_location_survives_writing_and_reading(found):
    first = location(found)
    assert location(first.model_dump(mode="json", exclude_none=True)) == first


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"path": "relative"}, "must be absolute"),
        ({"path": "/mnt/../etc"}, "must be absolute"),
        ({"home": "a", "path": "/b"}, "exactly one of env, home, member, path"),
        ({"kind": "ftp"}, "ftp"),
        (HTTP | {"url": "ftp://example.org/a"}, "must begin with http"),
        (HTTP | {"url": "https:///a.csv"}, "name a host"),
        (HTTP | {"url": []}, "at least one URL"),
        (HTTP | {"url": "https://example.org/{date}.csv"}, "needs dates"),
        (HTTP | {"dates": {"first": "2024-01-01"}}, "needs dates"),
        (HTTP | {"url": "https://example.org/{office}.csv"}, "knows no parameter but"),
        (HTTP | {"username": {"env": "U"}}, "go together"),
        (HTTP | {"timeout_s": 0}, "timeout_s"),
        (S3 | {"prefix": "a/*.csv"}, "patterns belong under files"),
        (S3 | {"prefix": "../other"}, "without '..'"),
        (S3 | {"access_key": {"env": "K"}}, "go together"),
        ({name: value for name, value in SFTP.items() if name != "known_hosts"}, "known_hosts"),
        ({name: value for name, value in SFTP.items() if name != "password"}, "password, private_key"),
        (SFTP | {"folder": "relative"}, "must be absolute"),
        (SFTP | {"password": {"env": "P", "block": "p"}}, "exactly one of env, block"),
        (DATABASE | {"query": "select 1"}, "exactly one of table, query"),
        (DATABASE | {"sqlite": "a.db"}, "exactly one of url, sqlite"),
        (DATABASE | {"watermark": {"column": "a", "type": "text", "overlap": 1}}, "takes no overlap"),
    ],
)
def test_a_wrong_location_is_named(found, message):
    with pytest.raises(ValidationError) as raised:
        location(found)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"location": HTTP | {"url": f"https://user:{SECRET}@example.org/a.csv"}},
        {"location": HTTP | {"url": f"https://{SECRET}@example.org/a.csv"}},
        {"location": HTTP | {"url": f"https://example.org/a.csv?access_token={SECRET}"}},
        {"location": HTTP | {"url": f"https://example.org/a.csv?subscription-key={SECRET}"}},
        {"location": HTTP | {"headers": {"Authorization": f"Bearer {SECRET}"}}},
        {"location": HTTP | {"headers": {"X-Api-Key": SECRET}}},
        {"location": HTTP | {"secret_headers": {"X-Api-Key": SECRET}}},
        {"location": HTTP | {"secret_headers": {"X-Api-Key": {"env": SECRET}}}},
        {"location": S3 | {"endpoint": f"http://key:{SECRET}@example.org"}},
        {"location": S3 | {"secret_key": SECRET, "access_key": SECRET}},
        {"location": SFTP | {"password": SECRET}},
        {"location": SFTP | {"host": f"user:{SECRET}@host"}},
        {"location": DATABASE | {"url": f"postgresql://user:{SECRET}@host/db"}},
        {"location": DATABASE | {"url": {"env": f"postgresql://user:{SECRET}@host/db"}}},
        {"location": DATABASE | {"password": SECRET}},
    ],
)
def test_a_secret_in_a_contract_is_an_error_that_does_not_repeat_it(tmp_path, contract_of, change):
    plain = contract_of().model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    plain["extracts"][0] |= change
    if change["location"]["kind"] in ("http", "database"):
        del plain["extracts"][0]["files"]
    (tmp_path / "xt").mkdir()
    (tmp_path / "xt" / "contract.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(UsageProblem) as raised:
        load_contract(tmp_path, "XT")
    assert SECRET not in str(raised.value) + repr(raised.value)
    with pytest.raises(ValidationError) as invalid:
        Contract.model_validate(plain)
    assert SECRET not in str(invalid.value)


@pytest.mark.parametrize("name", ["token", "X-Api-Key", "sig", "Cookie", "Proxy-Authorization", "pwd"])
def test_names_that_hold_secrets_are_known(name):
    assert may_hold_a_secret(name)


@pytest.mark.parametrize("name", ["Accept", "year", "hs_key_figures", "design", "assignment", "format"])
def test_other_names_are_left_alone(name):
    assert not may_hold_a_secret(name)


def test_files_are_asked_for_where_there_are_several(contract_of):
    for found in (S3, SFTP, {"home": "drop"}):
        with pytest.raises(ValidationError, match="at least one pattern"):
            contract_of(location=found, files=[])
    for found in (HTTP, DATABASE):
        with pytest.raises(ValidationError, match="takes none"):
            contract_of(location=found, files=["*"])
        assert contract_of(location=found, files=[]).extracts[0].files == ()


def test_a_source_keeps_its_name_when_only_the_way_there_changes():
    name = source_name(location(S3), ("*.csv",))
    same = S3 | {"timeout_s": 5, "max_bytes": 7, "access_key": {"env": "K"}, "secret_key": {"env": "S"}}
    assert source_name(location(same), ("*.csv",)) == name
    assert source_name(location(S3 | {"prefix": "other"}), ("*.csv",)) != name
    assert source_name(location(S3), ("*.txt",)) != name
    assert source_name(location(DATABASE), ()) != source_name(location(DATABASE | {"table": "other"}), ())


def test_dates_of_months_and_days():
    def urls(today, **dates):
        found = HTTP | {"url": ["https://h/x", "https://h/{date:%Y%m%d}"], "dates": dates}
        return [(url, day and str(day)) for url, day in HttpLocation(**found).urls_between(today)]

    today = date(2024, 3, 2)
    assert urls(today, first="2024-02-28", lag_days=1) == [
        ("https://h/x", None),
        ("https://h/20240228", "2024-02-28"),
        ("https://h/20240229", "2024-02-29"),
        ("https://h/20240301", "2024-03-01"),
    ]
    assert [day for _, day in urls(today, first="2024-01-15", every="month")[1:]] == [
        "2024-01-01",
        "2024-02-01",
        "2024-03-01",
    ]
    assert urls(today, first="2024-03-03") == [("https://h/x", None)]


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 800), st.integers(0, 40))
def test_no_date_is_asked_for_twice_or_out_of_its_bounds(first, days, lag):
    today = date.fromordinal(first.toordinal() + days)
    found = HttpLocation(
        kind="http", url="https://h/{date}", dates={"first": first, "lag_days": lag}
    ).urls_between(today)
    asked = [day for _, day in found]
    assert asked == sorted(set(asked))
    assert len(asked) == max(0, days - lag + 1)


def test_a_mounted_folder_is_a_folder_like_any_other(tmp_path, contract_of):
    contract = contract_of(location={"path": str(tmp_path / "mounted")})
    settings = Settings(home=tmp_path / "home", members_dir=tmp_path / "members")
    assert find_files(contract.extracts[0], contract, settings) == []
    assert "does not exist" in str(missing_location(contract.extracts[0], contract, settings))
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "a.csv").write_text("x")
    (tmp_path / "mounted" / ".b.csv").write_text("x")
    assert find_files(contract.extracts[0], contract, settings) == [tmp_path / "mounted" / "a.csv"]


def test_arrivals_of_a_remote_source_are_found_in_the_order_in_which_they_came(tmp_path, contract_of):
    contract = contract_of(location=HTTP, files=[])
    settings = Settings(home=tmp_path / "home", members_dir=tmp_path / "members")
    extract = contract.extracts[0]
    assert "nothing has come from https://example.org/a.csv" in str(
        missing_location(extract, contract, settings)
    )
    inbox = settings.paths.inbox / "XT" / source_name(extract.location, ())
    for name in ("000002-aa/a.csv", "000001-bb/b.csv", "000010-cc/a.csv", ".partial-x/a.csv", ".partial-y"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("x")
    found = [path.parent.name for path in find_files(extract, contract, settings)]
    assert found == ["000001-bb", "000002-aa", "000010-cc"]
    assert missing_location(extract, contract, settings) is None
