"""What a text is said to hold is what it holds, however it is cut into chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewaiter.landing.marks import ANY_MARKS, MarkFinder, count_byte

texts = st.text('a1 _"\t\v\f\r\n\u00a0\u00b0é', max_size=30)


@given(text=texts, cut=st.integers(0, 60))
def test_every_mark_of_the_text_is_found_and_no_other(text, cut):
    content, finder = text.encode(), MarkFinder('"')
    for chunk in (content[:cut], content[cut:]):
        finder.look(chunk)
    marks = finder.marks()
    for blank in " \t\v\f\u00a0":
        assert (blank in marks.white_space) == (blank in text)
    assert marks.has_underscore == ("_" in text)
    assert marks.has_quote == ('"' in text)
    # Only a quoted value can hold a line end.
    assert ("\n" in marks.white_space) == ("\r" in marks.white_space) == ('"' in text)
    assert set(marks.white_space) <= set(ANY_MARKS.white_space)


@given(content=st.binary(max_size=300), byte=st.sampled_from([b"\n", b'"', b"\x00"]))
def test_bytes_are_counted(content, byte):
    assert count_byte(content, byte) == content.count(byte)
