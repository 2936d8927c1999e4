"""How far the boundaries of two masks lie apart."""

import cv2
import numpy as np

from semenet.errors import SemenetError

PERCENTILE = 95


def hausdorff95(true_masks, predicted_masks):
    """95 % Hausdorff distance of each image's two masks.

    A directed distance is the 95th percentile (NumPy's, linear between ranks) of the exact Euclidean
    distances from each boundary pixel of one mask to the nearest boundary pixel of the other; the result is
    the larger of the two directions. One boundary pixel in twenty may lie anywhere, so that a speck far away
    does not decide it.

    The boundary is MONAI's: the mask without its erosion by a cross of 3 x 3 pixels, all outside the image
    counting as outside the mask. So it lies within the mask, holds each pixel with one of its four neighbours
    outside, follows holes too, and runs along the image's edge where the mask ends there. For empty masks
    MONAI gives NaN or infinity; here two empty masks agree, and one alone has no distance to the other.

    Args:
        true_masks: bool array, or of 0 and 1, `(N, H, W)` or `(N, H, W, 1)`.
        predicted_masks: array of the same shape, likewise.

    Returns:
        float64 array `(N,)`, 0 or more, in pixels of the masks: where a network stretched its images, pixels
        of its input, not of the files. 0 where both masks are empty, NaN where exactly one is.

    Raises:
        ValueError: for no images, shapes that differ, or masks of other values than 0 and 1.

    Reference:
        Huttenlocher, Klanderman and Rucklidge, "Comparing images using the Hausdorff distance", IEEE TPAMI
        15(9), 1993. MONAI, `monai.metrics.compute_hausdorff_distance(percentile=95)`.
    """
    true_masks, predicted_masks = np.asarray(true_masks), np.asarray(predicted_masks)
    check_shapes(true_masks, predicted_masks, "True and predicted masks")
    check_binary(true_masks)
    check_binary(predicted_masks)
    pairs = zip(true_masks, predicted_masks, strict=True)
    return np.array([_between(_boundary(true), _boundary(predicted)) for true, predicted in pairs])


def check_shapes(first, second, names):
    """Refuses arrays that are not of one shape (N, H, W) or (N, H, W, 1), or hold no pixel.

    Args:
        first: array.
        second: array.
        names: str, what the error calls the two.

    Raises:
        SemenetError: as said.
    """
    shape = first.shape
    if shape != second.shape or not first.size or shape[3:] not in ((), (1,)) or len(shape) < 3:
        raise SemenetError(
            f"{names} must be arrays of one shape (N, H, W) or (N, H, W, 1), one image or "
            f"more. Received: shapes {shape} and {second.shape}. "
            "Resize the masks to the network's output."
        )


def check_binary(masks):
    """Refuses masks that hold anything but 0 and 1.

    Raises:
        SemenetError: as said.
    """
    if masks.dtype != bool and not np.isin(masks, (0, 1)).all():
        raise SemenetError(
            "A mask must hold 0 outside and 1 inside. "
            f"Received: values from {masks.min()} to {masks.max()}. Threshold it first."
        )


def _boundary(mask):
    """The boundary pixels of a mask `(H, W)` or `(H, W, 1)`: bool `(H, W)`."""
    mask = mask.reshape(mask.shape[:2]).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    # By default OpenCV takes all outside the image for inside the mask.
    inner = cv2.erode(mask, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask != inner


def _between(first, second):
    """The distance of two boundaries, bool `(H, W)`."""
    if not first.any() or not second.any():
        return np.nan if first.any() or second.any() else 0.0
    # Nothing outside their common box is near either: the smaller the picture, the quicker.
    either = first | second
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    first, second = first[box], second[box]
    return max(_directed(first, second), _directed(second, first))


def _directed(start, end):
    to_end = cv2.distanceTransform((~end).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[start]
    # Squared distances are whole numbers, which OpenCV's float32 roots tell apart up to 2,048 pixels.
    exact = np.sqrt(np.rint(to_end.astype(np.float64) ** 2))
    return float(np.percentile(exact, PERCENTILE))
