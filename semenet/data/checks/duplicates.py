"""Finds radiographs that are one picture, however it was resized, recompressed, equalised or slightly turned.

All chest radiographs look alike: a 64-bit perceptual hash at the usual distance calls thousands of different
children one. So an image is kept as a thumbnail of 64 x 64 pixels (squashed, since copies are), and two are
compared in two steps:

1. Candidates: of each image, the few others whose outlines (16 x 16 pixels, each neighbourhood brought to one
   mean and contrast) correlate best with its own.
2. The similarity of a candidate: the correlation of the two thumbnails' detail, when an affine map (OpenCV's
   ECC) has laid one onto the other. Ribs, vessels and tubes lie where they lie in one exposure alone.

Measured on 5,403 + 1,443 images of Kermany's children and 155 of covid-chestxray-dataset, 24.5 million
pairs. All 1,443 twins (224 pixels squashed against 512 pixels at native aspect, recompressed) are found,
with similarities of 0.997 and more. Of different patients four pairs lie above 0.999, all the same
radiographs of covid-chestxray-dataset under two patient numbers; the next is 0.876, so that `SAME` = 0.9
gave no false pair.

Of changed copies of 500 images, the share that is found, and the 1 % quantile of their similarity: JPEG of
quality 30 1.00 (0.995), shrunk to 224 pixels 1.00 (0.998), a letter burnt in 1.00 (0.967), darkened 1.00
(0.98), gamma 1.8 1.00 (0.971), CLAHE 1.00 (0.936), histogram equalisation 1.00 (0.923), turned by 2 degrees
1.00 (0.946), by 3 1.00 (0.935), by 5 0.94 (0.913), 3 % cropped from each side 0.98 (0.941), brightened until
much is white 0.95 (0.818), CLAHE with crop and turn 0.74, a black frame of 3 % 0.63. Mirrored and inverted
copies are not found.
"""

import concurrent.futures
import itertools
import os

import cv2
import numpy as np

from semenet.errors import SemenetError

SIDE = 64

# The least similarity of one picture's copies.
SAME = 0.9

_OUTLINE_SIDE = 16
_OUTLINE_RADIUS = 6.0
_DETAIL_RADIUS = 2.5
# Five grey levels, squared: what varies less is noise, and is not blown up into detail.
_NOISE_VARIANCE = 25.0
_CANDIDATE = 0.6
_CANDIDATES_APART = 3
_CANDIDATES_TOGETHER = 1
_CANDIDATES_OF_ONE = 20
# A candidate that correlates this much less than it should at half the size will not do so at the full one.
_HALF_SIZE_MARGIN = 0.05
_ITERATIONS = 15
_BLOCK_ELEMENTS = 2**25


def thumbnail(image):
    """Shrinks a radiograph to what is kept of it for comparisons.

    Args:
        image: uint8 array of shape (height, width), values in [0, 255].

    Returns:
        A uint8 array of shape (64, 64), values in [0, 255]; the aspect is lost.
    """
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def similarity(first, second):
    """Compares two thumbnails.

    Args:
        first: uint8 array of shape (64, 64), of `thumbnail`.
        second: another.

    Returns:
        A float in [-1, 1], 1 for equal pictures; 0 where one is of one grey level or nothing aligns them.
    """
    return _similarity(_detail(first), _detail(second), -1.0)


def near_pairs(thumbnails, splits, groups, *, same=SAME, progress=None):
    """Finds pairs of one picture among many images.

    Looked for are pairs in different splits, and pairs in one split and different groups. Each image is
    compared with the three nearest of the other splits and the nearest of its own, so that of a picture with
    many copies not all pairs are returned.

    Two cores took 8 s for 7,001 images, of which 1.4 s for 25,000 candidates and the rest to align these.
    Of 100,000 blends of real thumbnails, 11 s went into outlines, 61 s into the search for 327,000
    candidates (it grows with the square of the number) and 170 s into their alignment (which grows with the
    number), in 1.6 GiB of memory; reading that many files takes longer.

    Args:
        thumbnails: uint8 array of shape (images, 64, 64).
        splits: array of shape (images,): pairs apart are those with different values.
        groups: array of shape (images,): within a split, pairs with equal values are not looked for, such as
            two exposures of one patient.
        same: the least similarity that is returned, in [0.5, 1].
        progress: None, or a function of the number of candidates compared and of all.

    Returns:
        A list of (index, index, similarity), the lower index first, sorted.

    Raises:
        SemenetError: `same` lies outside its range.
    """
    check_same(same)
    if len(thumbnails) < 2:
        return []
    splits = np.unique(np.asarray(splits, dtype=object).astype(str), return_inverse=True)[1]
    groups = np.unique(np.asarray(groups), return_inverse=True)[1]
    candidates = _candidates(_outlines(thumbnails), splits, groups)
    found, done = [], 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = [candidates[begin : begin + 256] for begin in range(0, len(candidates), 256)]
        confirmed = pool.map(lambda block: _confirmed(thumbnails, block, same), blocks)
        for block, pairs in zip(blocks, confirmed, strict=True):
            found += pairs
            done += len(block)
            if progress is not None:
                progress(done, len(candidates))
    return sorted(found)


def nearest(picture, thumbnails, *, same=SAME):
    """Finds the copies of one picture among many images.

    Args:
        picture: uint8 array of shape (64, 64), of `thumbnail`.
        thumbnails: uint8 array of shape (images, 64, 64).
        same: the least similarity that is returned, in [0.5, 1].

    Returns:
        A list of (index, similarity), the most similar first; at most 20.

    Raises:
        SemenetError: `same` lies outside its range.
    """
    check_same(same)
    if not len(thumbnails):
        return []
    correlations = _outlines(thumbnails) @ _outlines(picture[None])[0]
    likely = np.argsort(-correlations, kind="stable")[:_CANDIDATES_OF_ONE]
    likely = [int(index) for index in likely if correlations[index] >= _CANDIDATE]
    found = [(index, similarity(picture, thumbnails[index])) for index in likely]
    return sorted((pair for pair in found if pair[1] >= same), key=lambda pair: (-pair[1], pair[0]))


def check_same(same):
    """Refuses a least similarity below which all radiographs are one.

    Raises:
        SemenetError: it lies outside [0.5, 1].
    """
    if not 0.5 <= same <= 1:
        raise SemenetError(
            f"The least similarity of one picture's copies must lie in [0.5, 1]. Received: {same}. "
            f"The usual is {SAME}; different patients reach 0.88."
        )


def _level(image, radius):
    """Brings each neighbourhood to mean 0 and one contrast, so that windowing and CLAHE change little."""
    values = image.astype(np.float32)
    mean = cv2.GaussianBlur(values, (0, 0), radius)
    variance = cv2.GaussianBlur(values * values, (0, 0), radius) - mean * mean
    return (values - mean) / np.sqrt(np.maximum(variance, 0) + _NOISE_VARIANCE)


def _outlines(thumbnails):
    """Unit vectors whose products are correlations: float32 (images, 256); 0 for an even grey image."""
    outlines = np.empty((len(thumbnails), _OUTLINE_SIDE**2), np.float32)
    for index, image in enumerate(thumbnails):
        size = (_OUTLINE_SIDE, _OUTLINE_SIDE)
        leveled = cv2.resize(_level(image, _OUTLINE_RADIUS), size, interpolation=cv2.INTER_AREA)
        outlines[index] = (leveled - leveled.mean()).ravel()
    norms = np.linalg.norm(outlines, axis=1, keepdims=True)
    return np.where(norms > 1e-3, outlines / np.maximum(norms, 1e-3), 0)


def _candidates(outlines, splits, groups):
    """The pairs worth a closer look: a sorted list of (lower index, higher index)."""
    # With splits one after the other, "in the same split" is a slice and needs no mask.
    order = np.argsort(splits, kind="stable")
    outlines, splits, groups = outlines[order], splits[order], groups[order]
    step = max(1, _BLOCK_ELEMENTS // len(order))
    codes = []
    for split in range(splits[-1] + 1):
        first, last = np.searchsorted(splits, [split, split + 1])
        for begin in range(first, last, step):
            rows = slice(begin, min(begin + step, last))
            correlations = outlines[rows] @ outlines.T
            together = correlations[:, first:last].copy()
            together[groups[rows, None] == groups[None, first:last]] = -1
            correlations[:, first:last] = -1
            codes += _best(together, _CANDIDATES_TOGETHER, begin, first, order)
            codes += _best(correlations, _CANDIDATES_APART, begin, 0, order)
    codes = np.unique(np.concatenate(codes))
    return [(int(code // len(order)), int(code % len(order))) for code in codes]


def _best(correlations, count, first_row, first_column, order):
    """Codes, lower index x images + higher index, of each row's highest columns; destroys its input."""
    codes = []
    rows = np.arange(len(correlations))
    for _ in range(min(count, correlations.shape[1])):
        columns = correlations.argmax(axis=1)
        good = correlations[rows, columns] >= _CANDIDATE
        pairs = order[np.stack([rows[good] + first_row, columns[good] + first_column])]
        codes.append(pairs.min(axis=0) * len(order) + pairs.max(axis=0))
        correlations[rows, columns] = -1
    return codes


def _confirmed(thumbnails, pairs, same):
    details = {index: _detail(thumbnails[index]) for index in set(itertools.chain(*pairs))}
    compared = ((a, b, _similarity(details[a], details[b], same - _HALF_SIZE_MARGIN)) for a, b in pairs)
    return [pair for pair in compared if pair[2] >= same]


def _detail(picture):
    """The fine structure of a thumbnail, at its size and at half of it."""
    full = _level(picture, _DETAIL_RADIUS)
    return full, cv2.resize(full, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)


def _similarity(first, second, least_at_half_size):
    if _aligned(first[1], second[1]) < least_at_half_size:
        return 0.0
    return _aligned(first[0], second[0])


def _aligned(first, second):
    """The correlation of two images when one was laid onto the other by an affine map."""
    if min(first.std(), second.std()) < 1e-3:
        return 0.0
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, 1e-3)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        return float(cv2.findTransformECC(first, second, start, cv2.MOTION_AFFINE, stop, None, 3)[0])
    except cv2.error as error:
        # ECC gives up on images that have nothing to do with each other.
        if error.code != cv2.Error.StsNoConv:
            raise
        return 0.0
