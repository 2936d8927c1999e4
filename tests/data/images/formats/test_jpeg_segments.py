"""The walker over JPEG segments, on bytes written by hand."""

from semenet.data.images.formats.jpeg_segments import (
    HUFFMAN_TABLES,
    START_OF_SCAN,
    first_scan,
    segments,
)

TABLE = b"\xff\xc4\x00\x04ab"
SCAN = b"\xff\xda\x00\x03c"
# In compressed data 0xFF is followed by 0 or by a restart number.
DATA = b"x\xff\x00y\xff\xd3z"
START, END = b"\xff\xd8", b"\xff\xd9"


def test_segments_are_yielded_without_compressed_data():
    contents = START + TABLE + SCAN + DATA + TABLE + END + TABLE
    found = list(segments(contents))
    assert [(segment.marker, segment.payload) for segment in found] == [
        (HUFFMAN_TABLES, b"ab"),
        (START_OF_SCAN, b"c"),
        (HUFFMAN_TABLES, b"ab"),
    ]
    assert all(contents[segment.start : segment.end] in (TABLE, SCAN) for segment in found)
    assert all(segment.is_complete for segment in found)
    assert first_scan(contents) == len(START + TABLE)


def test_fill_bytes_before_a_marker_are_skipped():
    assert [segment.start for segment in segments(START + b"\xff\xff" + TABLE + END)] == [4]


def test_the_walk_ends_at_a_byte_that_is_no_marker():
    contents = START + TABLE + b"?" + SCAN + END
    assert [segment.marker for segment in segments(contents)] == [HUFFMAN_TABLES]
    assert first_scan(contents) == len(contents)


def test_a_truncated_segment_is_not_complete():
    (segment,) = segments(START + b"\xff\xc4\x00\x40ab")
    assert not segment.is_complete
    assert segment.payload == b"ab"


def test_a_segment_without_room_for_its_length_is_not_complete():
    (segment, *_) = segments(START + b"\xff\xc4\x00\x00ab" + TABLE)
    assert not segment.is_complete
