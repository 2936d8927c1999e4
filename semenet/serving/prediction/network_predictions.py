"""Scores radiographs on disk with a trained network."""

import sys

import cv2
import numpy as np
import pandas as pd

from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.images.reading import image_size, read_image
from semenet.data.pipeline.datasets import prepare_image
from semenet.data.transforms.mask_threshold import MASK_PROBABILITY
from semenet.errors import SemenetError
from semenet.inference.array_images import grey_levels
from semenet.inference.lung_masks import LungMasks, keep_only_lungs, resized_mask
from semenet.inference.reading_ahead import read_ahead
from semenet.inference.scoring import scoring_function
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import track
from semenet.storage.atomic import output_file, unique_stems, write_bytes, write_text
from semenet.storage.file_names import shown_name
from semenet.training.run_folder.run import Run

BATCH_SIZE = 16


def predict(run_path, paths, out=None, *, on_error="raise", batch_size=BATCH_SIZE, tta=1, lungs=None):
    """Scores files and folders of images, calibrated where the run is.

    A network that is fed lungs alone gets the images with all else blacked out.

    Args:
        run_path: run folder or `.keras` file.
        paths: files and folders (searched through) of radiographs: PNG, JPEG, TIFF, BMP or DICOM.
        out: CSV to write, or None. A segmentation network's masks go into the folder `<out's stem>_masks`,
            8-bit PNG of each image's own size: 255 inside, 0 outside.
        on_error: "raise" stops at the first file that cannot be read, and no CSV is written;
            "skip" leaves such files out and lists them with reasons, on stderr and in
            `<out's stem>_errors.csv`.
        batch_size: int, images a step.
        tta: int, test-time augmentation: how many fixed views of each image the probabilities are averaged
            over, as for `semenet.inference.scoring.scoring_function`.
        lungs: for a network that is fed lungs alone, the run of a U-Net that finds them; other networks do
            not look at it.

    Returns:
        DataFrame, a row an image: `file` (by `semenet.storage.file_names.shown_name`), one column of
        probabilities a class, and `predicted`; for a segmentation network `file`, the share of the image that
        is each class, and `mask` (its file, or "").

    Raises:
        ImageError: for a file that cannot be read, a path that does not exist, or a folder without images.
        WeightsError: if the run cannot be loaded.
        RunFolderError: if its calibration is broken, or of another network than the one there now.
        ValueError: for another `on_error`, or a `tta` that there is not, or not for this network; a network
            that is fed lungs alone and no `lungs`, or such that do not segment; or outputs that are NaN.
    """
    if on_error not in ("raise", "skip"):
        raise SemenetError(
            f"`on_error` must be 'raise' or 'skip'. Received: {on_error!r}. "
            "Use 'skip' to go on past bad files."
        )
    if batch_size < 1:
        raise SemenetError(f"`batch_size` must be 1 or more. Received: {batch_size}. The usual is 16.")
    files = list_images(paths)
    out = None if out is None else output_file(out)
    run = Run.open(run_path)
    if run.segments and len(run.class_names) > 1:
        raise SemenetError(
            "Masks are written of a network with one class. "
            f"Received: {run.path} with {', '.join(run.class_names)}. Use its model from Python."
        )
    finder = _finder(run, lungs)
    score = scoring_function(run, tta)
    items = list(zip(files, unique_stems(files), strict=True))
    rows, errors = [], []
    for batch in track(_batches(items, run, finder, batch_size, on_error), len(files), "Predicting"):
        bad = [(file, image) for (file, _), image in batch if isinstance(image, ImageError)]
        errors += [(shown_name(file), str(error)) for file, error in bad]
        read = [(item, image) for item, image in batch if not isinstance(image, ImageError)]
        if read:
            outputs = score(_fed([image for _, image in read], run, finder)).numpy()
            check_probabilities(outputs)
            rows += [_row(item, output, run, out) for (item, _), output in zip(read, outputs, strict=True)]
    last = "mask" if run.segments else "predicted"
    frame = pd.DataFrame(rows, columns=["file", *run.class_names, last])
    if not run.segments:
        # As the network gave them: the CSV has the digits that `semenet evaluate` writes, and no more.
        frame = frame.astype(dict.fromkeys(run.class_names, np.float32))
    if out is not None:
        write_text(out, frame.to_csv(index=False))
    _report_errors(errors, out)
    return frame


def predict_arrays(run_path, images, *, lungs=None):
    """Scores images that are in memory.

    Args:
        run_path: run folder or `.keras` file.
        images: sequence of `(H, W)` arrays of any sizes, uint8 or float in [0, 255].
        lungs: as for `predict`.

    Returns:
        float32 `(N, K)` probabilities, calibrated where the run is, or `(N, h, w, K)` of a segmentation
        network.

    Raises:
        RunFolderError: as `predict`.
        ValueError: if there is no image, or one is no finite array of two axes; as `predict` for `lungs` and
            NaN.
    """
    run = Run.open(run_path)
    finder = _finder(run, lungs)
    read = []
    for number, image in enumerate(images):
        read.append(_read(grey_levels(image, f"image {number}"), run, finder))
    if not read:
        raise SemenetError("There must be one image or more. Received: none. Give a sequence of arrays.")
    score = scoring_function(run)
    batches = (read[start : start + BATCH_SIZE] for start in range(0, len(read), BATCH_SIZE))
    probabilities = np.concatenate([score(_fed(batch, run, finder)).numpy() for batch in batches])
    check_probabilities(probabilities)
    return probabilities


def _finder(run, lungs):
    """`LungMasks` for a network that is fed lungs alone, else None."""
    if run.segments or not run.lungs_alone:
        return None
    if lungs is None:
        raise SemenetError(
            f"A network that is fed lungs alone needs to be told where they are. Received: {run.path} and "
            "images without masks: of whole images its probabilities mean nothing. Name a U-Net's run with "
            "--lungs."
        )
    return LungMasks.open(lungs)


def _read(grey, run, finder):
    """The image as the network takes it, and as it was read where its lungs are to be found."""
    prepared = prepare_image(grey, run.input_size, run.channels, run.inference_clahe)
    return prepared, None if finder is None else grey


def _fed(read, run, finder):
    """A batch of what `_read` gives, as the network is fed it."""
    prepared, greys = zip(*read, strict=True)
    images = np.stack(prepared)
    return images if finder is None else keep_only_lungs(images, finder.segment(greys, run.input_size))


def _batches(items, run, finder, batch_size, on_error):
    """Batches, read ahead in threads: lists of `((file, stem), what _read gives, or ImageError)`."""

    def read(item):
        try:
            return item, _read(read_image(item[0]), run, finder)
        except ImageError as error:
            if on_error == "raise":
                raise
            return item, error

    return read_ahead(items, read, batch_size)


def _row(item, output, run, out):
    file, stem = item
    if not run.segments:
        return [shown_name(file), *output.tolist(), run.class_names[int(output.argmax())]]
    shares = (output >= MASK_PROBABILITY).mean((0, 1)).tolist()
    mask = "" if out is None else _write_mask(file, output, out.with_name(f"{out.stem}_masks"), stem)
    return [shown_name(file), *shares, shown_name(mask)]


def _write_mask(file, output, folder, stem):
    folder.mkdir(exist_ok=True)
    mask = resized_mask(output[..., 0], image_size(file))
    target = folder / f"{stem}.png"
    write_bytes(target, cv2.imencode(".png", mask.astype("uint8") * 255)[1].tobytes())
    return target


def _report_errors(errors, out):
    for _, reason in errors:
        print(f"skipped: {reason}", file=sys.stderr)
    if errors and out is not None:
        listing = out.with_name(f"{out.stem}_errors.csv")
        write_text(listing, pd.DataFrame(errors, columns=["file", "reason"]).to_csv(index=False))
        print(f"{len(errors)} files were skipped: {shown_name(listing)}", file=sys.stderr)
