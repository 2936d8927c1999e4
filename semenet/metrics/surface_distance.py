"""The distance between the boundaries of two masks."""

import cv2
import numpy as np

from semenet.errors import SemenetError

PERCENTILE = 95


def hausdorff95(true_masks: np.ndarray, predicted_masks: np.ndarray) -> np.ndarray:
    """Computes the 95 % Hausdorff distance between the two masks of each image.

    A directed distance is the 95th percentile (NumPy's, linear between ranks) of the exact Euclidean
    distances from each boundary pixel of one mask to the nearest boundary pixel of the other. The result is
    the larger of the two directions. A small region far away does not determine it, because one boundary
    pixel in twenty is ignored.

    The boundary is that of MONAI: the mask without its erosion by a 3 x 3 cross, where everything outside the
    image is outside the mask. It therefore lies within the mask, holds each pixel with one of its four
    neighbours outside, includes the edges of holes, and runs along the edge of the image if the mask ends
    there. For empty masks MONAI returns NaN or infinity. Here two empty masks have a distance of 0, and one
    empty mask has no distance to the other.

    Args:
        true_masks: array of bool, or of 0 and 1, `(N, H, W)` or `(N, H, W, 1)`.
        predicted_masks: the same for the predictions, with the same shape.

    Returns:
        float64 array `(N,)`, 0 or more, in pixels of the masks (if a network resized its images, pixels of
        its input, not of the files). 0 if both masks are empty, NaN if exactly one is.

    Raises:
        SemenetError: for no images, shapes that differ, or masks with values other than 0 and 1.

    Reference:
        Huttenlocher, Klanderman and Rucklidge, "Comparing images using the Hausdorff distance", IEEE TPAMI
        15(9), 1993. MONAI, `monai.metrics.compute_hausdorff_distance(percentile=95)`.

    Example:
        >>> true_mask, predicted_mask = np.zeros((1, 8, 8), bool), np.zeros((1, 8, 8), bool)
        >>> true_mask[0, 2, 2] = predicted_mask[0, 2, 5] = True
        >>> semenet.metrics.hausdorff95(true_mask, predicted_mask)
        array([3.])
    """
    true_masks, predicted_masks = np.asarray(true_masks), np.asarray(predicted_masks)
    check_shapes(true_masks, predicted_masks, "True and predicted masks")
    check_binary(true_masks)
    check_binary(predicted_masks)
    pairs = zip(true_masks, predicted_masks, strict=True)
    return np.array([_distance(_boundary(true), _boundary(predicted)) for true, predicted in pairs])


def check_shapes(first: np.ndarray, second: np.ndarray, names: str) -> None:
    """Checks that two arrays have the same shape, (N, H, W) or (N, H, W, 1), and are not empty.

    Args:
        first: array.
        second: array.
        names: description of the two arrays in the error.

    Raises:
        SemenetError: the shapes differ, are others than these, or are empty.
    """
    shape = first.shape
    if shape != second.shape or not first.size or shape[3:] not in ((), (1,)) or len(shape) < 3:
        raise SemenetError(
            f"{names} must be arrays of the same shape, (N, H, W) or (N, H, W, 1), with one or more "
            f"images. Received: shapes {shape} and {second.shape}. "
            "Resize the masks to the network's output."
        )


def check_binary(masks: np.ndarray) -> None:
    """Checks that masks hold only 0 and 1.

    Raises:
        SemenetError: there are other values.
    """
    if masks.dtype != bool and not np.isin(masks, (0, 1)).all():
        raise SemenetError(
            "A mask must hold 0 outside and 1 inside. "
            f"Received: values from {masks.min()} to {masks.max()}. Threshold it first."
        )


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Returns the boundary pixels, bool `(H, W)`, of a mask `(H, W)` or `(H, W, 1)`."""
    mask = mask.reshape(mask.shape[:2]).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    # OpenCV's default border counts everything outside the image as inside the mask.
    inner = cv2.erode(mask, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask != inner


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the distance between two boundaries, bool `(H, W)`."""
    if not first.any() or not second.any():
        return np.nan if first.any() or second.any() else 0.0
    # Nothing outside the common bounding box can be nearest, and a smaller image is faster.
    either = first | second
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    first, second = first[box], second[box]
    return max(_directed_distance(first, second), _directed_distance(second, first))


def _directed_distance(start: np.ndarray, end: np.ndarray) -> float:
    to_end = cv2.distanceTransform((~end).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[start]
    # Squared distances are integers. OpenCV's float32 roots distinguish them up to 2,048 pixels.
    exact = np.sqrt(np.rint(to_end.astype(np.float64) ** 2))
    return float(np.percentile(exact, PERCENTILE))
