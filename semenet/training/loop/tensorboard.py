"""Writes TensorBoard event files of a run: curves, the first inputs, and confusion matrices.

Training only writes the files. To look at them: `pip install 'semenet[tensorboard]'`, then
`tensorboard --logdir RUN/tensorboard`.
"""

import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from semenet.training.loop.tensorboard_images import confusion_sheet, input_sheet
from semenet.training.recipe import Recipe

# Values by step and values by epoch are in folders of their own, because TensorBoard gives each folder one
# axis, and a resumed run removes from it the points after the step, or the epoch, that it resumes from.
STEPS, EPOCHS = "steps", "epochs"
STEPS_BETWEEN_POINTS = 10


class TensorBoardCallback(keras.callbacks.Callback):
    """Writes event files while a network trains, and continues those of a run that was killed.

    In `folder/steps`: `step/loss` (the mean since the start of the epoch, as Keras reports it) and
    `step/learning_rate` every ten steps, and `inputs`, the first batch of each start. In `folder/epochs`, by
    epoch from 1: `epoch/<name>` for each metric, and `confusion`. Each start writes new files, which begin
    with a mark that makes readers drop the points that an earlier start wrote after the resumed step.

    Place it after the callbacks that add metrics to the logs and save the state.

    Args:
        folder: the folder for `tensorboard --logdir`; it is created if it does not exist.
        recipe: the recipe, for the class names.
        steps_per_epoch: number of steps in an epoch.
        start_step: number of training steps before the state that the run resumes from; 0 for a new run.
        batches: pairs (images, targets) after augmentation, images uint8 `(N, H, W, C)` in [0, 255] or a dict
            with them as `images`, targets `(N, K)` or masks `(N, H, W, 1)`; only the first pair is used. None
            for no image of the inputs.
        confusion: returns the confusion matrix of the last validation, int `(K, K)` with a row for each true
            class, or None. None for no matrices.
    """

    def __init__(
        self,
        folder: str | pathlib.Path,
        recipe: Recipe,
        steps_per_epoch: int,
        *,
        start_step: int = 0,
        batches: Iterable[tuple[Any, Any]] | None = None,
        confusion: Callable[[], np.ndarray | None] | None = None,
    ) -> None:
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.step = start_step
        self.batches = batches
        self.confusion = confusion

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the files of this start and writes the image of the inputs."""
        self.by_step = EventFile(self.folder / STEPS, self.step)
        self.by_epoch = EventFile(self.folder / EPOCHS, self.step // self.steps_per_epoch)
        if self.batches is not None:
            images, targets = next(iter(self.batches))
            if isinstance(images, dict):
                images = images["images"]
            sheet = input_sheet(np.asarray(images), np.asarray(targets), self.recipe.classes)
            self.by_step.image(
                "inputs", self.step + 1, sheet, "The first batch of this start, after augmentation"
            )
            self.by_step.flush()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes loss and learning rate every ten steps."""
        self.step += 1
        if self.step % STEPS_BETWEEN_POINTS:
            return
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        self.by_step.scalar("step/loss", self.step, logs["loss"], "Mean since the start of the epoch")
        self.by_step.scalar("step/learning_rate", self.step, rate)
        self.by_step.flush()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's metrics."""
        self.write_epoch(epoch, logs, None if self.confusion is None else self.confusion())

    def write_epoch(self, epoch: int, logs: dict[str, float], confusion: np.ndarray | None = None) -> None:
        """Writes an epoch's metrics.

        Args:
            epoch: the epoch, counted from 0.
            logs: the metrics by name; a value that is not finite leaves a gap in its curve.
            confusion: int `(K, K)`, one row for each true class; None for no matrix.
        """
        for name, value in logs.items():
            self.by_epoch.scalar(f"epoch/{name}", epoch + 1, value)
        if confusion is not None:
            sheet = confusion_sheet(confusion, self.recipe.classes)
            self.by_epoch.image("confusion", epoch + 1, sheet, "Validation: one row for each true class")
        self.by_epoch.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the files. A run that is killed before loses nothing."""
        self.by_step.close()
        self.by_epoch.close()


class EventFile:
    """A new event file in a folder, which readers place after the existing ones.

    It uses tensorboardX's record writer and messages, and not its `SummaryWriter`: that one writes from a
    queue in another thread, which its `flush` does not wait for, so a killed run would lose points; and it
    names files by the second, so the clock would decide their order, and two starts in one second would
    overwrite each other.

    Args:
        folder: the folder; it is created if it does not exist.
        start: readers drop the points after this step that the folder's earlier files hold.
    """

    def __init__(self, folder: pathlib.Path, start: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Readers sort files by name: a number in the name keeps their order whatever the clock says.
        number = 1 + max(
            (int(file.name.split(".")[3]) for file in folder.glob("events.out.tfevents.*")), default=0
        )
        self.path = folder / f"events.out.tfevents.{number:010d}.semenet"
        self._writer = _QuickRecordWriter(str(self.path))
        self._write(0, file_version="brain.Event:2")
        # The first file needs the mark too: TensorBoard drops nothing at the first mark that it meets.
        self._write(start + 1, session_log=SessionLog(status=SessionLog.START))
        self.flush()

    def scalar(self, tag: str, step: int, value: float, description: str = "") -> None:
        """Adds a point to a curve; a value that is not finite is left out."""
        if np.isfinite(value):
            self._write(step, summary=scalar(tag, float(value), summary_description=description))

    def image(self, tag: str, step: int, png: bytes, description: str = "") -> None:
        """Adds an image.

        Args:
            tag: its name.
            step: its step.
            png: the content of a PNG file.
            description: text that is shown beside it.
        """
        # Bytes 16 to 24 of a PNG file are its width and height.
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        metadata = SummaryMetadata(summary_description=description)
        self._write(step, summary=Summary(value=[Summary.Value(tag=tag, image=image, metadata=metadata)]))

    def flush(self) -> None:
        """Hands everything to the operating system, so that it is seen and survives a kill of the process."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write(Event(wall_time=time.time(), step=step, **content).SerializeToString())


class _QuickRecordWriter(RecordWriter):
    """Flushes without `fsync`, which took 4 ms and takes longer on network drives."""

    def flush(self) -> None:
        self._writer.flush()
