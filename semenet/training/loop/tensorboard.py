"""Writes what TensorBoard shows of a run: curves, a sheet of inputs, confusion matrices.

The event files are written as they are defined, records of `tf.compat.v1.Event`: TensorFlow 2.21 comes
without the package tensorboard, which `tf.summary.scalar` and Keras' own callback need. Only who looks at the
files needs it: `pip install tensorboard`, then `tensorboard --logdir RUN/tensorboard`.
"""

import io
import pathlib
import time

import cv2
import keras
import numpy as np
from matplotlib.figure import Figure

# Figures by step stand apart from those by epoch: TensorBoard gives each folder one axis, and a new start
# removes from it what lies past the step, or the epoch, that it goes on from.
STEPS, EPOCHS = "steps", "epochs"
STEPS_BETWEEN_POINTS = 10
SHEET_IMAGES = 16
# Small: the sheet shows whether an augmentation went wrong.
_THUMBNAIL = 160
_OUTLINE_COLOUR = (230, 159, 0)


class TensorBoardLog(keras.callbacks.Callback):
    """Writes event files while a network trains, and goes on with them where a killed run left off.

    In `folder/steps`: `step/loss` (the mean since the epoch's start, as Keras gives it) and
    `step/learning_rate` each ten steps, and `inputs`, a sheet of the first batch of this start. In
    `folder/epochs`, by epoch from 1 on: `epoch/<name>` for each figure of the logs, and `confusion`. Each
    start writes files of its own, headed by the mark on which readers drop what an earlier start wrote past
    that point.

    Put it behind the callbacks that add figures to the logs and save the state.

    Args:
        folder: the folder that `tensorboard --logdir` takes; made if absent.
        recipe: `Recipe`, for the class names.
        steps_per_epoch: int.
        start_step: int, the training steps behind the state that the run goes on from; 0 for a new run.
        batches: iterable of pairs (images, targets) after augmentation, images uint8 `(N, H, W, C)` in
            [0, 255], targets `(N, K)` or masks `(N, H, W, 1)`; only its first is taken. None for no sheet.
        confusion: function without arguments that gives the last validation's int `(K, K)`, a row a true
            class, or None. None for no matrices.
    """

    def __init__(self, folder, recipe, steps_per_epoch, *, start_step=0, batches=None, confusion=None):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.step = start_step
        self.batches = batches
        self.confusion = confusion

    def on_train_begin(self, logs=None):
        """Opens this start's files and writes the sheet of inputs."""
        self.by_step = EventFile(self.folder / STEPS, self.step)
        self.by_epoch = EventFile(self.folder / EPOCHS, self.step // self.steps_per_epoch)
        if self.batches is not None:
            images, targets = next(iter(self.batches))
            sheet = input_sheet(np.asarray(images), np.asarray(targets), self.recipe.classes)
            self.by_step.image(
                "inputs", self.step + 1, sheet, "The first batch of a start, after augmentation"
            )
            self.by_step.flush()

    def on_train_batch_end(self, batch, logs=None):
        """Writes loss and learning rate each ten steps."""
        self.step += 1
        if self.step % STEPS_BETWEEN_POINTS:
            return
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        self.by_step.scalar("step/loss", self.step, logs["loss"], "Mean since the epoch's start")
        self.by_step.scalar("step/learning_rate", self.step, rate)
        self.by_step.flush()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch's figures."""
        self.write_epoch(epoch, logs, None if self.confusion is None else self.confusion())

    def write_epoch(self, epoch, logs, confusion=None):
        """Writes an epoch's figures.

        Args:
            epoch: int, counted from 0.
            logs: dict of name to number; one that is not finite leaves a gap in its curve.
            confusion: int `(K, K)`, a row a true class; None for none.
        """
        for name, value in logs.items():
            self.by_epoch.scalar(f"epoch/{name}", epoch + 1, value)
        if confusion is not None:
            sheet = confusion_sheet(confusion, self.recipe.classes)
            self.by_epoch.image("confusion", epoch + 1, sheet, "Validation: a row a true class")
        self.by_epoch.flush()

    def on_train_end(self, logs=None):
        """Closes the files. A run that is killed loses nothing by not coming here."""
        self.by_step.close()
        self.by_epoch.close()


class EventFile:
    """One event file of a folder, which readers put behind those that are there.

    Args:
        folder: pathlib.Path; made if absent.
        start: int; readers drop the points past it that the folder's earlier files hold.
    """

    def __init__(self, folder, start):
        # Slow, and only needed once a run begins.
        import tensorflow as tf

        self._tf = tf
        folder.mkdir(parents=True, exist_ok=True)
        # Readers take the files by name, so a number in front keeps their order whatever the clock says.
        number = 1 + max(
            (int(file.name.split(".")[3]) for file in folder.glob("events.out.tfevents.*")), default=0
        )
        self.path = folder / f"events.out.tfevents.{number:010d}.semenet"
        self._writer = tf.io.TFRecordWriter(str(self.path))
        self._write(0, file_version="brain.Event:2")
        # In the first file too: TensorBoard takes the first mark it meets for no restart, and drops nothing.
        session = tf.compat.v1.SessionLog
        self._write(start + 1, session_log=session(status=session.START))
        self.flush()

    def scalar(self, tag, step, value, description=""):
        """Adds a number to a curve; one that is not finite is left out."""
        if np.isfinite(value):
            tensor = self._tf.make_tensor_proto(float(value), self._tf.float32)
            self._add(tag, step, tensor, "scalars", "DATA_CLASS_SCALAR", description)

    def image(self, tag, step, png, description=""):
        """Adds a picture.

        Args:
            tag: str, its name.
            step: int.
            png: bytes of a PNG file.
            description: str, shown beside it.
        """
        # A PNG's header has its width and height in bytes 16 to 24.
        sides = [str(int.from_bytes(png[at : at + 4], "big")).encode() for at in (16, 20)]
        tensor = self._tf.make_tensor_proto([*sides, png], self._tf.string)
        self._add(tag, step, tensor, "images", "DATA_CLASS_BLOB_SEQUENCE", description)

    def flush(self):
        """Hands on what was added, so that who looks at a run that goes on sees it."""
        self._writer.flush()

    def close(self):
        """Ends the file."""
        self._writer.close()

    def _add(self, tag, step, tensor, plugin, data_class, description):
        v1 = self._tf.compat.v1
        metadata = v1.SummaryMetadata(summary_description=description, data_class=data_class)
        metadata.plugin_data.plugin_name = plugin
        self._write(
            step, summary=v1.Summary(value=[v1.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])
        )

    def _write(self, step, **content):
        event = self._tf.compat.v1.Event(wall_time=time.time(), step=step, **content)
        self._writer.write(event.SerializeToString())


def input_sheet(images, targets, class_names):
    """A sheet of up to 16 inputs: images under their labels, or with their masks' outlines.

    Args:
        images: uint8 `(N, H, W, C)` in [0, 255].
        targets: float `(N, K)`, of which the greatest names the class, or masks `(N, H, W, 1)` of 0 and 1.
        class_names: K str.

    Returns:
        bytes of a PNG file.
    """
    masks = targets if targets.ndim == 4 else [None] * len(images)
    shown = [_thumbnail(image, mask) for image, mask in zip(images[:SHEET_IMAGES], masks, strict=False)]
    columns = int(np.ceil(np.sqrt(len(shown))))
    rows = -(-len(shown) // columns)
    sheet = np.full((rows, columns, _THUMBNAIL, _THUMBNAIL, 3), 255, np.uint8)
    for index, picture in enumerate(shown):
        sheet[index // columns, index % columns] = picture
    sheet = sheet.swapaxes(1, 2).reshape(rows * _THUMBNAIL, columns * _THUMBNAIL, 3)
    figure = Figure(figsize=(sheet.shape[1] / 100, sheet.shape[0] / 100), dpi=100)
    figure.figimage(sheet)
    if targets.ndim == 2:
        for index in range(len(shown)):
            # From the lower left corner, as matplotlib counts pixels.
            x, y = index % columns * _THUMBNAIL + 4, sheet.shape[0] - index // columns * _THUMBNAIL - 4
            text = class_names[targets[index].argmax()]
            box = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
            figure.text(
                x / sheet.shape[1],
                y / sheet.shape[0],
                text,
                color="white",
                fontsize=9,
                verticalalignment="top",
                bbox=box,
            )
    return _png(figure)


def confusion_sheet(matrix, class_names):
    """A confusion matrix as a picture, with counts and each row's shares.

    Args:
        matrix: int `(K, K)`, a row a true class.
        class_names: K str.

    Returns:
        bytes of a PNG file.
    """
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(3.5, 0.9 * len(class_names) + 1)
    figure = Figure(figsize=(side + 0.4, side), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlabel="Predicted", ylabel="True")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        text = f"{matrix[row, column]}\n{shares[row, column]:.0%}"
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(class_names)), class_names)
    axes.set_yticks(range(len(class_names)), class_names)
    return _png(figure)


def _thumbnail(image, mask):
    picture = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    picture = cv2.resize(picture, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    if mask is None:
        return picture
    mask = cv2.resize(
        mask[..., 0].astype(np.uint8), (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_NEAREST
    )
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(picture, outlines, -1, _OUTLINE_COLOUR, 1)


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
