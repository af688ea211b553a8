"""What a file may look like, and that no line of it goes missing or changes its number."""

from __future__ import annotations

import json
import threading

import pyarrow.parquet as pq
import pytest

from tidewaiter import files
from tidewaiter.canonical import DATASETS
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.landing import find_files, landed_receipts, missing_location, write_schema_files
from tidewaiter.pseudonyms import Pseudonymiser


def row(key: str, office: str = "S01", value: str = "1") -> str:
    return f"{key},1,2024-03-01,{office},010121,Acme,{value}"


def landed_lines(landed) -> dict[str, int]:
    return dict(zip(landed.column("declaration_id"), landed.column("source_line"), strict=True))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "end"])
def test_encodings_and_line_ends(bench, contract_of, landing_header, encoding, line_end, last):
    text = line_end.join([landing_header, row("A1", "Évora"), row("A2", '"two\nlines"'), row("A3")])
    landed = bench.land(
        (text + (line_end if last else "")).encode(encoding), contract_of(format={"encoding": encoding})
    )
    assert landed.column("office_code")[0] == "Évora"
    assert landed.receipt.rows_landed == 3
    assert landed_lines(landed) == {"A1": 2, "A2": 3, "A3": 5}


def test_a_byte_order_mark_is_no_part_of_the_first_name(bench, landing_header):
    landed = bench.land(b"\xef\xbb\xbf" + f"{landing_header}\n{row('A1')}\n".encode())
    assert landed_lines(landed) == {"A1": 2}


def test_mixed_line_ends_lose_no_row(bench, landing_header):
    text = f"{landing_header}\r\n{row('A1')}\n{row('A2')}\r\n\r\n{row('A3', 'x' + chr(13) + 'y')}\n"
    assert landed_lines(bench.land(text)) == {"A1": 2, "A2": 3, "A3": 5}


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_cr_alone_ends_a_line_only_between_whole_rows(bench, contract_of, landing_header, quote):
    within = row("A1", f"{quote}x\r1,2\ry{quote}")
    lines = [
        within,
        f"{row('A2')}\r{row('A3')}\r{row('A4')}",
        row("A5", "x\ry"),
        f"{row('A6')}\rA7,1",
        row("A8"),
        *(row(f"B{number}") for number in range(5)),  # most lines end otherwise
    ]
    landed = bench.land("\r\n".join([landing_header, *lines]), contract_of(format={"quote": quote}))
    lines_of = landed_lines(landed)
    assert {key: lines_of[key] for key in lines_of if key < "B"} == {
        "A1": 2,
        "A2": 3,
        "A3": 4,
        "A4": 5,
        "A5": 6,
        "A8": 8,
    }
    assert landed.column("office_code")[0] == "x 1,2 y"
    assert landed.reasons == {7: ["the line has too many columns: 8 where the header has 7"]}


def test_line_ends_are_mended_alike_wherever_a_chunk_ends(bench, landing_header, monkeypatch):
    rows = [row(f"A{number}", f'"o\r{number}"') for number in range(60)]
    text = landing_header + "".join(
        end + one for one, end in zip(rows, ["\n", "\r\n", "\r", "\n"] * 15, strict=True)
    )
    whole = bench.land(text, name="a.csv").column("declaration_id")
    assert len(whole) == 60
    for size in (1, 2, 3, 7, 50):
        monkeypatch.setattr("tidewaiter.landing.decoding.CHUNK_BYTES", size)
        assert bench.elsewhere().land(text).column("declaration_id") == whole


def test_ragged_lines_are_quarantined_with_their_line_number(bench, landing_header):
    text = "\n".join([landing_header, row("A1"), "A2,1", row("A3"), row("A4") + ",more,", row("A5")])
    landed = bench.land(text)
    assert landed_lines(landed) == {"A1": 2, "A3": 4, "A5": 6}
    assert landed.reasons == {
        3: ["the line has too few columns: 2 where the header has 7"],
        5: ["the line has too many columns: 9 where the header has 7"],
    }
    assert landed.receipt.reasons == {
        "the line has too few columns": 1,
        "the line has too many columns": 1,
    }


def test_line_numbers_hold_with_quoted_line_feeds_blank_lines_and_ragged_lines(bench, landing_header):
    text = "\n".join(
        [
            "",
            landing_header,  # 2
            row("A1", '"a\n\n\nb"'),  # 3 to 6
            "",
            'ragged,"x\ny"',  # 8 and 9
            row("A2"),  # 10
            "",
            "",
            row("A3", '"c\nd"', "bad"),  # 13 and 14
            row("A4"),  # 15
            "ragged",  # 16
            row("A5"),  # 17
            "",
        ]
    )
    landed = bench.land(text)
    assert landed_lines(landed) == {"A1": 3, "A2": 10, "A4": 15, "A5": 17}
    assert sorted(landed.reasons) == [8, 13, 16]
    assert landed.records[13]["office"] == "c\nd"


def test_a_header_over_two_lines_shifts_the_rows(bench, contract_of, landing_header):
    contract = contract_of({"office_code": {"column": "of\nfice"}})
    landed = bench.land(landing_header.replace("office", '"of\nfice"') + f"\n{row('A1')}\n", contract)
    assert landed_lines(landed) == {"A1": 3}


def test_an_open_quote_swallows_no_row_in_silence(bench, landing_header):
    text = "\n".join([landing_header, row("A1"), row("A2", '"open'), row("A3"), row("A4", '"q"'), row("A5")])
    landed = bench.land(text)
    receipt = landed.receipt
    assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined == 5
    assert sorted([*landed.column("source_line"), *landed.reasons]) == [2, 3, 4, 5, 6]


def test_an_open_quote_in_a_large_file_is_an_error_and_not_a_loss(bench, landing_header):
    many = [row(f"A{number}") for number in range(100_000)]
    text = "\n".join([landing_header, *many[:50], row("X", '"open'), *many])
    with pytest.raises(TidewaiterError, match=r"quote|accounted for"):
        bench.land(text)
    assert not list(bench.settings.paths.landing.glob("declaration_items/member=XT/*"))


def test_many_rows_on_several_lines_keep_their_lines(bench, landing_header):
    many = [row(f"A{number}", f'"{number}\n\nx"' if number % 3 else "S") for number in range(30_000)]
    landed = bench.land("\n".join([landing_header, *many, "ragged"]))
    expected, line = {}, 2
    for number in range(30_000):
        expected[f"A{number}"] = line
        line += 3 if number % 3 else 1
    assert landed_lines(landed) == expected
    assert list(landed.reasons) == [line]


def test_bytes_that_are_not_utf8_cost_one_line(bench, landing_header):
    content = f"{landing_header}\n{row('A1')}\n".encode() + row("A2", "É").encode("latin-1") + b"\n"
    landed = bench.land(content + row("A3").encode())
    assert landed_lines(landed) == {"A1": 2, "A3": 4}
    assert landed.reasons == {3: ["the line has bytes that are not of the file's encoding"]}


def test_a_file_in_another_encoding_is_a_clear_error(bench, contract_of, landing_header):
    with pytest.raises(TidewaiterError, match="not written in utf-16"):
        bench.land(f"{landing_header}\n{row('A1')}x\n", contract_of(format={"encoding": "utf-16"}))


def test_a_longer_line_than_can_be_read_is_quarantined(bench, landing_header):
    text = "\n".join([landing_header, row("A1"), row("A2", "x" * 2_100_000), row("A3")])
    landed = bench.land(text)
    assert landed_lines(landed) == {"A1": 2, "A3": 4}
    assert landed.reasons == {3: ["the line is longer than 2,000,000 bytes"]}


def test_a_file_without_rows_lands_nothing_and_an_empty_one_is_an_error(bench, landing_header):
    receipt = bench.land(landing_header).receipt
    assert (receipt.rows_in, receipt.refused) == (0, False)
    with pytest.raises(TidewaiterError, match="the file is empty"):
        bench.land("\n\n")


def test_delimiters_of_several_characters_and_no_quotes(bench, contract_of, landing_header):
    contract = contract_of(format={"delimiter": "||", "quote": ""})
    text = f"{landing_header}\n{row('A1', 'he said ' + chr(34) + 'no')}\n".replace(",", "||")
    assert bench.land(text, contract).column("office_code") == ['he said "no']


@pytest.mark.parametrize("name", ["a[1].csv", "star*.csv", "qu'ote.csv", 'dou"ble.csv', "received.json"])
def test_any_file_name_lands_and_its_bytes_are_kept(bench, landing_header, name):
    content = f"{landing_header}\n{row('A1')}\n"
    landed = bench.land(content, name=name)
    folder = bench.settings.paths.raw / "XT" / landed.receipt.source_sha256
    kept = [path for path in folder.iterdir() if path.name != "received.json"]
    assert [path.read_text() for path in kept] == [content]
    assert landed.column("source_file") == [kept[0].name]
    assert kept[0].stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_landing_twice_changes_no_byte_and_keeps_the_first_arrival(bench, landing_header):
    text = f"{landing_header}\n{row('A1')}\n{row('A2', value='x')}\n"
    first = bench.land(text)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in first.folder.iterdir()}
    assert bench.land(text, name="same-bytes.csv").receipt == first.receipt
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in first.folder.iterdir()} == before


def test_a_lost_landing_is_made_again_byte_for_byte(bench, landing_header):
    rows = [row(f"A{number}", f"S{number % 7}", "x" if number % 11 == 0 else "1") for number in range(5000)]
    text = "\n".join([landing_header, *rows, rows[1]])
    first = bench.land(text)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    for path in first.folder.iterdir():
        path.unlink()
    again = bench.land(text)
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before


def test_another_key_lands_again_under_other_pseudonyms(bench, landing_header):
    text = f"{landing_header}\n{row('A1')}\n"
    first = bench.land(text)
    before = first.column("importer_id")
    bench.pseudonymiser = Pseudonymiser(b"q" * 32)
    again = bench.land(text)
    assert again.column("importer_id") != before
    assert again.receipt.received_at == first.receipt.received_at


def test_two_threads_with_the_same_file_land_it_once(bench, landing_header):
    text = "\n".join([landing_header, *(row(f"A{number}") for number in range(2000))])
    sent = bench.root / "sent.csv"
    sent.write_text(text)
    receipts = []
    threads = [
        threading.Thread(target=lambda: receipts.append(bench.land_path(sent).receipt)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 3
    assert receipts[0] == receipts[1] == receipts[2]
    assert landed_receipts(bench.settings.paths) == receipts[:1]


def test_nothing_but_results_is_left_behind(bench, landing_header):
    bench.land(f"{landing_header}\n{row('A1')}\n")
    with pytest.raises(TidewaiterError):
        bench.land("nothing,of,the,kind\n")
    assert not [path for path in bench.settings.home.rglob(f"{files.PARTIAL_PREFIX}*")]


def test_schema_files_have_the_landed_columns_and_are_written_once(bench):
    write_schema_files(bench.settings.paths)
    paths = sorted(bench.settings.paths.landing.glob("*/member=00/extract=schema/rows.parquet"))
    assert [path.parts[-4] for path in paths] == sorted(DATASETS)
    written = [path.stat().st_mtime_ns for path in paths]
    write_schema_files(bench.settings.paths)
    assert [path.stat().st_mtime_ns for path in paths] == written
    assert landed_receipts(bench.settings.paths) == []


def test_landed_parquet_has_the_schema_of_the_schema_file(bench, landing_header):
    landed = bench.land(f"{landing_header}\n{row('A1')}\n")
    write_schema_files(bench.settings.paths)
    schema = bench.settings.paths.extract_folder("declaration_items", "00", "schema") / "rows.parquet"
    assert pq.read_schema(landed.folder / "rows.parquet").equals(pq.read_schema(schema))


def test_files_are_found_by_pattern_sorted_and_without_uploads_in_progress(bench, contract_of):
    drop = bench.settings.home / "drop"
    contract = contract_of(files=["*.csv", "b*"])
    extract = contract.extracts[0]
    assert find_files(extract, contract, bench.settings) == []
    assert "does not exist" in (missing_location(extract, contract, bench.settings) or "")
    drop.mkdir(parents=True)
    for name in ("b.csv", "a.csv", ".upload.csv", "c.txt"):
        (drop / name).touch()
    (drop / "bdir").mkdir()
    assert [path.name for path in find_files(extract, contract, bench.settings)] == ["a.csv", "b.csv"]
    assert missing_location(extract, contract, bench.settings) is None


def test_an_environment_location_that_is_unset_is_a_note_and_a_wrong_one_an_error(
    bench, contract_of, monkeypatch, tmp_path
):
    contract = contract_of(location={"env": "XT_DROP"})
    extract = contract.extracts[0]
    monkeypatch.delenv("XT_DROP", raising=False)
    assert find_files(extract, contract, bench.settings) == []
    assert "set XT_DROP" in (missing_location(extract, contract, bench.settings) or "")
    monkeypatch.setenv("XT_DROP", str(tmp_path / "nowhere"))
    with pytest.raises(UsageProblem, match="no such folder"):
        find_files(extract, contract, bench.settings)
    (tmp_path / "x.csv").touch()
    monkeypatch.setenv("XT_DROP", str(tmp_path))
    assert [path.name for path in find_files(extract, contract, bench.settings)] == ["x.csv"]


def test_a_location_that_is_a_setting_comes_from_the_settings(bench, contract_of, monkeypatch, tmp_path):
    monkeypatch.delenv("TIDEWAITER_KOREA_DIR", raising=False)
    (tmp_path / "x.csv").touch()
    contract = contract_of(location={"env": "TIDEWAITER_KOREA_DIR"})
    settings = bench.settings.model_copy(update={"korea_dir": tmp_path})
    assert [path.name for path in find_files(contract.extracts[0], contract, settings)] == ["x.csv"]


def test_the_receipt_on_disk_is_the_one_returned(bench, landing_header):
    landed = bench.land(f"{landing_header}\n{row('A1')}\n{row('A2', value='x')}\n")
    stored = json.loads((landed.folder / "receipt.json").read_text())
    assert stored == landed.receipt.model_dump(mode="json")
    assert (stored["rows_in"], stored["rows_landed"], stored["rows_quarantined"]) == (2, 1, 1)
    assert stored["min_registered_date"] == "2024-03-01"
