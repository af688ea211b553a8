"""Compressed files and archives: each file in one is an extract, and nothing in one is trusted."""

from __future__ import annotations

import gzip
import io
import stat
import zipfile

import pyarrow as pa
import pytest

from tidewaiter import files, fingerprint
from tidewaiter.errors import GateRefused, TidewaiterError


def row(key: str, value: str = "1") -> str:
    return f"{key},1,2024-03-01,S01,010121,Acme,{value}"


@pytest.fixture
def text(landing_header) -> bytes:
    return f"{landing_header}\n{row('A1')}\n{row('A2', 'x')}\n".encode()


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


@pytest.mark.parametrize(("name", "pack"), [("a.csv.gz", gzip.compress), ("a.csv.zst", zstd)])
def test_a_compressed_file_is_one_extract(bench, text, name, pack):
    packed = pack(text)
    (landed,) = bench.land_all(packed, name=name)
    receipt = landed.receipt
    assert (receipt.rows_in, receipt.rows_landed, receipt.source_file) == (2, 1, name)
    assert receipt.source_sha256 != receipt.archive_sha256 == receipt.kept_sha256
    assert receipt.source_bytes == len(text)
    kept = bench.settings.paths.raw / "XT" / receipt.kept_sha256 / name
    assert kept.read_bytes() == packed
    assert fingerprint.of_file(kept) == receipt.archive_sha256
    assert landed.column("source_line") == [2]


def test_each_file_of_an_archive_is_an_extract(bench, contract_of, landing_header, text):
    other = f"{landing_header}\n{row('B1')}\n".encode()
    noise = [("__MACOSX/._one.csv", b"?"), ("dir/.DS_Store", b"?"), ("readme.txt", b"hello"), ("dir/", b"")]
    content = zipped(("one.csv", text), ("dir/two.csv", other), *noise)
    contract = contract_of(archive={"members": ["*.csv"]})
    one, two = bench.land_all(content, contract, name="all.zip")
    assert one.receipt.source_file == "all.zip/one.csv"
    assert two.receipt.source_file == "all.zip/dir/two.csv"
    assert two.column("source_file") == ["all.zip/dir/two.csv"]
    assert one.receipt.archive_sha256 == two.receipt.archive_sha256
    assert {receipt.extract_id for receipt in (one.receipt, two.receipt)} == {
        one.folder.name[8:],
        two.folder.name[8:],
    }
    assert [landed.receipt.rows_in for landed in (one, two)] == [2, 1]


def test_the_same_bytes_are_landed_once_however_they_are_packed(bench, text):
    first = bench.land(text)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    (again,) = bench.land_all(gzip.compress(text), name="again.csv.gz")
    assert again.receipt == first.receipt
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


def test_landing_an_archive_again_unpacks_nothing(bench, text, monkeypatch):
    content = zipped(("one.csv", text))
    (first,) = bench.land_all(content, name="all.zip")
    monkeypatch.setattr("tidewaiter.landing.arrivals.unpack", lambda *_: pytest.fail("unpacked again"))
    (again,) = bench.land_all(content, name="all.zip")
    assert again.receipt == first.receipt


def test_one_bad_file_leaves_the_others_landed(bench, contract_of, text, landing_header):
    bad = f"{landing_header}\n{row('B1', 'x')}\n".encode()
    contract = contract_of(refuse_above_quarantined_share=0.6)
    with pytest.raises(GateRefused, match=r"all\.zip/bad\.csv"):
        bench.land_all(zipped(("bad.csv", bad), ("good.csv", text)), contract, name="all.zip")
    landed = list(bench.settings.paths.landing.glob("*/member=XT/*/rows.parquet"))
    assert len(landed) == 1


def test_nothing_unpacked_is_left_behind(bench, text):
    bench.land_all(zipped(("one.csv", text)), name="all.zip")
    with pytest.raises(TidewaiterError):
        bench.land_all(zipped(("one.csv", b"no,such,header\n")), name="bad.zip")
    left = [path for path in bench.settings.home.rglob("*") if path.name.startswith(files.PARTIAL_PREFIX)]
    assert not left
    assert not list(bench.settings.home.rglob("unpacked-*"))


def a_link() -> zipfile.ZipInfo:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return link


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("../../escape.csv", "leads out of the archive"),
        ("/etc/passwd", "leads out of the archive"),
        ("a\\..\\b.csv", "leads out of the archive"),
        ("C:evil.csv", "leads out of the archive"),
        (a_link(), "is a link"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(bench, text, member, message):
    before = sorted(bench.root.rglob("*"))
    with pytest.raises(TidewaiterError, match=message):
        bench.land_all(zipped(("good.csv", text), (member, text)), name="all.zip")
    new = [path for path in bench.root.rglob("*") if path not in before]
    assert not [path for path in new if path.name in {"escape.csv", "b.csv", "passwd", "link.csv"}]
    assert not list(bench.settings.paths.landing.glob("*/member=XT/*"))


def test_encrypted_and_doubled_files_are_refused_all_at_once(bench, text):
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = bytearray(zipped(("a.csv", text), ("b.csv", text), ("b.csv", text)))
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1  # the flag that says encrypted
    with pytest.raises(TidewaiterError) as raised:
        bench.land_all(bytes(content), name="all.zip")
    assert "'a.csv' in the archive is encrypted" in str(raised.value)
    assert "'b.csv' in the archive stands in it 2 times" in str(raised.value)


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda content: zipped(("x.csv", content))])
def test_an_archive_in_an_archive_is_refused(bench, text, pack):
    with pytest.raises(TidewaiterError, match="an archive in an archive"):
        bench.land_all(zipped(("inner.csv", pack(text))), name="all.zip")
    with pytest.raises(TidewaiterError, match="an archive in an archive"):
        bench.land_all(gzip.compress(pack(text)), name="all.csv.gz")


@pytest.mark.parametrize("name", ["bomb.csv.gz", "bomb.csv.zst", "bomb.zip"])
def test_a_bomb_is_refused_by_ratio_and_by_size(bench, contract_of, landing_header, name):
    bomb = landing_header.encode() + b"\n" + b" " * (64 << 20)
    content = {"z": gzip.compress, "t": zstd}.get(name[-1], lambda text: zipped(("bomb.csv", text)))(bomb)
    with pytest.raises(TidewaiterError, match="more than 200 times its size"):
        bench.land_all(content, name=name)
    contract = contract_of(archive={"largest_ratio": 1e6, "largest_unpacked_gb": 0.01})
    with pytest.raises(TidewaiterError, match=r"more than 0\.01 GB"):
        bench.land_all(content, contract, name=name)
    assert not list(bench.settings.home.rglob("unpacked-*"))


def test_the_limit_of_size_is_over_all_files_and_their_number_is_limited(bench, contract_of, text):
    many = zipped(*((f"{number}.csv", text + b"0" * number) for number in range(30)))
    with pytest.raises(TidewaiterError, match="more than"):
        bench.land_all(
            many, contract_of(archive={"largest_unpacked_gb": len(text) * 20 / 2**30}), name="a.zip"
        )
    with pytest.raises(TidewaiterError, match="30 files in the archive"):
        bench.land_all(many, contract_of(archive={"most_members": 29}), name="a.zip")


@pytest.mark.parametrize(("name", "pack"), [("a.csv.gz", gzip.compress), ("a.csv.zst", zstd)])
def test_a_cut_or_padded_file_is_told_and_nothing_landed(bench, name, pack, landing_header):
    packed = pack(("\n".join([landing_header, *(row(f"A{n}") for n in range(5000))])).encode())
    for broken in (packed[:-20], packed[: len(packed) // 2], packed + b"garbage"):
        with pytest.raises(TidewaiterError, match="cannot be read"):
            bench.land_all(broken, name=name)
    assert not list(bench.settings.paths.landing.glob("*/member=XT/*"))


def test_several_compressed_parts_are_one_file(bench, landing_header):
    parts = [f"{landing_header}\n{row('A1')}\n".encode(), f"{row('A2')}\n".encode()]
    for name, pack in (("a.csv.gz", gzip.compress), ("a.csv.zst", zstd)):
        (landed,) = bench.elsewhere().land_all(b"".join(map(pack, parts)), name=name)
        assert landed.column("declaration_id") == ["A1", "A2"]


def test_a_zip_that_lies_or_is_cut_is_told(bench, text):
    content = zipped(("one.csv", text * 50))
    with pytest.raises(TidewaiterError, match="cannot be read"):
        bench.land_all(content[:-30], name="cut.zip")
    lying = bytearray(content)
    entry = lying.index(b"PK\x01\x02")
    lying[entry + 24 : entry + 28] = (10).to_bytes(4, "little")  # unpacked size
    with pytest.raises(TidewaiterError, match="cannot be read"):
        bench.land_all(bytes(lying), name="lying.zip")


def test_a_name_that_promises_an_archive_is_held_to_it(bench, text):
    with pytest.raises(TidewaiterError, match="not a gz file"):
        bench.land_all(text, name="a.csv.gz")
