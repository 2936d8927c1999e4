"""Checks a JPEG inside a TensorFlow graph as `formats.jpeg` does on the host: its scans, and its end.

TensorFlow's decoder fills the missing part of a JPEG with grey, without an error, and passes over the image
once for each of any number of scans.
"""

from typing import NamedTuple

import tensorflow as tf

from semenet.data.images.formats.jpeg_completeness import SURPLUS
from semenet.data.images.formats.jpeg_limits import MOST_SCANS, MOST_SEGMENTS
from semenet.data.images.formats.jpeg_segments import (
    END,
    FRAME_HEADERS,
    RESTART_INTERVAL,
    START,
    START_OF_SCAN,
)

_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_COEFFICIENTS = 64
# So many zeros behind the file let every position in a header be read, whatever the header declares.
_BEHIND = 1024


class JpegStructure(NamedTuple):
    """Where the parts of a JPEG are, and how it is encoded; tensors.

    Attributes:
        values: uint8 `(n + 1024,)`, the bytes, and zeros behind them.
        size: int32 scalar, n, the bytes of the file.
        frame: the position of the frame header's marker; -1 without one.
        scan: that of the first scan's marker; -1 without one.
        scans: int32, the positions of all scans' markers, at most `MOST_SCANS` and one.
        end: that of the last end marker; -1 without one.
        interval: the units between restart markers; 0 for none.
    """

    values: tf.Tensor
    size: tf.Tensor
    frame: tf.Tensor
    scan: tf.Tensor
    scans: tf.Tensor
    end: tf.Tensor
    interval: tf.Tensor

    @property
    def kind(self) -> tf.Tensor:
        """The marker of the frame header, uint8."""
        return self.values[self.frame + 1]

    def number(self, positions: tf.Tensor) -> tf.Tensor:
        """Returns the bytes at some positions, as int32 of their shape."""
        return tf.cast(tf.gather(self.values, positions), tf.int32)


def jpeg_structure(contents: tf.Tensor) -> JpegStructure:
    """Reads the segments of a JPEG up to its first scan, and finds the markers behind.

    Args:
        contents: a scalar string tensor, the bytes of a JPEG.
    """
    stored = tf.io.decode_raw(contents, tf.uint8)
    size = tf.size(stored)
    stored = tf.concat([stored, tf.zeros(_BEHIND, tf.uint8)], axis=0)

    def is_segment(position: tf.Tensor, frame: tf.Tensor, scan: tf.Tensor, interval: tf.Tensor) -> tf.Tensor:
        return (scan < 0) & (position + 4 <= size) & (stored[position] == 0xFF)

    def next_segment(
        position: tf.Tensor, frame: tf.Tensor, scan: tf.Tensor, interval: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        header = tf.cast(stored[position + 1 : position + 6], tf.int32)
        marker, length = header[0], header[1] * 256 + header[2]
        is_frame = tf.reduce_any(marker == tf.constant(FRAME_HEADERS)) & (frame < 0)
        following = tf.where(marker == END[1], size, tf.minimum(position + 2 + length, size))
        return (
            # Any number of fill bytes may stand before a marker.
            tf.where(marker == 0xFF, position + 1, following),
            tf.where(is_frame, position, frame),
            tf.where(marker == START_OF_SCAN, position, scan),
            tf.where(marker == RESTART_INTERVAL, header[3] * 256 + header[4], interval),
        )

    _, frame, scan, interval = tf.while_loop(
        is_segment,
        next_segment,
        (tf.constant(len(START)), tf.constant(-1), tf.constant(-1), tf.constant(0)),
        maximum_iterations=MOST_SEGMENTS,
    )
    start = tf.maximum(scan, 0)
    scans = start + _positions(stored[start:size], START_OF_SCAN)[: MOST_SCANS + 1]
    end = tf.reduce_max(tf.concat([[-1], _positions(stored[:size], END[1])], axis=0))
    return JpegStructure(stored, size, frame, scan, scans, end, interval)


def _positions(stored: tf.Tensor, marker: int) -> tf.Tensor:
    """Returns the positions of a marker in uint8 `(n,)`, as int32."""
    return tf.cast(tf.where((stored[:-1] == 0xFF) & (stored[1:] == marker))[:, 0], tf.int32)


def with_surplus(contents: tf.Tensor, structure: JpegStructure) -> tf.Tensor:
    """Inserts bytes before the end marker, which change the decoded image only where data are missing."""
    end = structure.end
    behind = tf.strings.substr(contents, end, structure.size - end)
    return tf.strings.join([tf.strings.substr(contents, 0, end), SURPLUS, behind])


def has_all_restarts(structure: JpegStructure) -> tf.Tensor:
    """Computes `formats.jpeg_completeness.check_restarts`: False where restart markers are missing."""
    frame, scan, number = structure.frame, structure.scan, structure.number
    is_sequential = (structure.kind == _BASELINE) | (structure.kind == _EXTENDED)
    components = number(frame + 9)
    applies = is_sequential & (structure.interval > 0) & (number(scan + 4) == components)

    def is_complete() -> tf.Tensor:
        height, width = (number(frame + at) * 256 + number(frame + at + 1) for at in (5, 7))
        factors = number(frame + 11 + 3 * tf.range(tf.maximum(components, 1)))
        # One component is encoded block by block, whatever its sampling factors.
        across, down = (
            tf.where(components > 1, tf.maximum(tf.reduce_max(axis), 1), 1)
            for axis in (factors // 16, factors % 16)
        )
        units = -(-height // (8 * down)) * -(-width // (8 * across))
        begin = tf.minimum(scan + 2 + number(scan + 2) * 256 + number(scan + 3), structure.size)
        data = structure.values[begin : structure.size]
        is_restart = (data[:-1] == 0xFF) & (data[1:] & 0xF8 == 0xD0)
        is_marker = (data[:-1] == 0xFF) & (data[1:] != 0) & (data[1:] != 0xFF) & ~is_restart
        length = tf.cast(tf.where(tf.concat([is_marker, [True]], axis=0))[0, 0], tf.int32)
        found = tf.reduce_sum(tf.cast(is_restart[:length], tf.int32))
        ends_in_restart = tf.reduce_any(is_restart[tf.maximum(length - 2, 0) : tf.maximum(length - 1, 0)])
        return (found >= (units - 1) // structure.interval) & ~ends_in_restart

    return tf.cond(applies, is_complete, lambda: tf.constant(True))


def has_all_coefficients(structure: JpegStructure) -> tf.Tensor:
    """Computes `formats.jpeg_completeness.complete_coefficients` of the first component.

    Returns:
        A bool scalar: False where some miss, True for a JPEG that is not progressive.
    """
    number, scans = structure.number, structure.scans
    in_scan, luma = number(scans + 4), number(structure.frame + 10)
    places = tf.range(4)
    identifiers = number(scans[:, tf.newaxis] + 5 + 2 * places)
    is_included = tf.reduce_any((identifiers == luma) & (places < in_scan[:, tf.newaxis]), axis=1)
    behind = scans + 5 + 2 * in_scan
    first, last, precision = (number(behind + at)[:, tf.newaxis] for at in range(3))
    is_whole = is_included & (number(scans + 2) * 256 + number(scans + 3) == 6 + 2 * in_scan)
    coefficients = tf.range(_COEFFICIENTS)
    has = is_whole[:, tf.newaxis] & (precision % 16 == 0) & (coefficients >= first) & (coefficients <= last)
    return tf.reduce_all(tf.reduce_any(has, axis=0)) | (structure.kind != _PROGRESSIVE)


def may_end_early(structure: JpegStructure, image: tf.Tensor, is_cmyk: tf.Tensor) -> tf.Tensor:
    """Returns whether a decoder may have filled missing data, so that a second decoding must compare.

    Args:
        structure: the parts of the JPEG.
        image: uint8 `(height, width, 1)`, the image as it is stored.
        is_cmyk: whether it has four inks.
    """
    ends_in_fill = tf.reduce_all(image[-1, -8:] == 128)
    return is_cmyk | (structure.kind == _PROGRESSIVE) | ends_in_fill
