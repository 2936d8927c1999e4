import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from semenet.training.loop.tensorboard import (
    EPOCHS,
    STEPS,
    EventFile,
    TensorBoardCallback,
)
from semenet.training.loop.tensorboard_images import confusion_sheet, input_sheet

BATCHES_AN_EPOCH = 25


def events(folder):
    """Returns all events of a folder, in the order in which TensorBoard reads its files."""
    files = sorted(map(str, folder.glob("*tfevents*")))
    return [
        tf.compat.v1.Event.FromString(record.numpy())
        for file in files
        for record in tf.data.TFRecordDataset(file)
    ]


def points(folder, tag):
    """Returns what TensorBoard shows of a curve: at each mark but the first it drops the later points."""
    shown, started = [], False
    for event in events(folder):
        if event.session_log.status == tf.compat.v1.SessionLog.START:
            shown, started = [pair for pair in shown if not started or pair[0] < event.step], True
        shown += [(event.step, content(value)) for value in event.summary.value if value.tag == tag]
    return shown


def content(value):
    """Returns what TensorBoard shows of a point: a number, or width, height and file of an image."""
    if value.HasField("image"):
        return [value.image.width, value.image.height, value.image.encoded_image_string]
    assert value.HasField("simple_value")
    return value.simple_value


def board_s_reader(folder):
    """Returns the reader of the TensorBoard server, if the package is installed."""
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.plugin_event_accumulator",
        reason="pip install tensorboard: its own reader is what these files are for",
    )
    return accumulators.EventAccumulator(str(folder), size_guidance={accumulators.TENSORS: 0}).Reload()


def start_of(folder, recipe, start_step, **options):
    """Returns a started callback whose model only has a learning rate."""
    log = TensorBoardCallback(folder, recipe, BATCHES_AN_EPOCH, start_step=start_step, **options)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.25), "mse")
    log.set_model(model)
    log.on_train_begin()
    return log


def train(log, begin, end, loss):
    """Reports the steps begin + 1 to end with their losses, and the ends of epochs among them."""
    for step in range(begin, end):
        log.on_train_batch_end(step % BATCHES_AN_EPOCH, {"loss": loss + step})
        if (step + 1) % BATCHES_AN_EPOCH == 0:
            log.on_epoch_end(step // BATCHES_AN_EPOCH, {"loss": loss, "val_macro_auroc": 0.5})


def test_curves_by_step_and_by_epoch(tiny_recipe, tmp_path):
    log = start_of(tmp_path, tiny_recipe("seme_resnet50"), 0)
    train(log, 0, 50, 100.0)
    # Readable before the end: a run may be killed at any time, or viewed while it continues.
    assert points(tmp_path / STEPS, "step/loss") == [(step, 99.0 + step) for step in (10, 20, 30, 40, 50)]
    assert points(tmp_path / STEPS, "step/learning_rate") == [(step, 0.25) for step in (10, 20, 30, 40, 50)]
    assert points(tmp_path / EPOCHS, "epoch/val_macro_auroc") == [(1, 0.5), (2, 0.5)]
    log.on_train_end()


@pytest.mark.parametrize("saved", [32, 50])
def test_a_resumed_run_duplicates_no_points(tiny_recipe, tmp_path, saved):
    """The run is killed after step 60, in its third epoch; the last checkpoint is older."""
    recipe = tiny_recipe("seme_resnet50")
    train(start_of(tmp_path, recipe, 0), 0, 60, 100.0)
    train(start_of(tmp_path, recipe, saved), saved, 100, 1000.0)
    steps = points(tmp_path / STEPS, "step/loss")
    assert [step for step, _ in steps] == list(range(10, 101, 10))
    assert [value > 500 for step, value in steps] == [step > saved for step, _ in steps]
    epochs = points(tmp_path / EPOCHS, "epoch/loss")
    assert epochs == [(1, 100.0), (2, 1000.0 if saved < 50 else 100.0), (3, 1000.0), (4, 1000.0)]


def test_a_truncated_record_does_not_hide_later_starts(tmp_path):
    for start, value in ((0, 1.0), (2, 2.0)):
        file = EventFile(tmp_path, start)
        for step in (start + 1, start + 2, start + 3):
            file.scalar("loss", step, value)
        file.close()
        with open(file.path, "r+b") as half:
            half.truncate(file.path.stat().st_size - (7 if start == 0 else 0))
    accumulator = board_s_reader(tmp_path)
    read = [(event.step, tf.make_ndarray(event.tensor_proto).item()) for event in accumulator.Tensors("loss")]
    assert read == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]


def test_tensorboard_s_own_reader_sees_the_same_points(tiny_recipe, tmp_path):
    recipe = tiny_recipe("seme_resnet50")
    train(start_of(tmp_path, recipe, 0), 0, 60, 100.0)
    log = start_of(tmp_path, recipe, 32, confusion=lambda: np.eye(3, dtype=int))
    train(log, 32, 100, 1000.0)
    for folder, tag in ((STEPS, "step/loss"), (EPOCHS, "epoch/loss")):
        accumulator = board_s_reader(tmp_path / folder)
        read = [
            (event.step, tf.make_ndarray(event.tensor_proto).item()) for event in accumulator.Tensors(tag)
        ]
        assert read == points(tmp_path / folder, tag)
        assert accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    assert accumulator.SummaryMetadata("confusion").plugin_data.plugin_name == "images"


def test_a_value_that_is_not_finite_leaves_a_gap(tiny_recipe, tmp_path):
    log = start_of(tmp_path, tiny_recipe("seme_resnet50"), 0)
    for epoch, value in enumerate((0.5, np.nan, np.inf, 0.75)):
        log.write_epoch(epoch, {"val_macro_auroc": value})
    assert points(tmp_path / EPOCHS, "epoch/val_macro_auroc") == [(1, 0.5), (4, 0.75)]


def test_each_start_shows_its_first_batch(tiny_recipe, tmp_path):
    images = np.zeros((3, 32, 32, 1), np.uint8)
    batch = (tf.constant(images), tf.constant(np.eye(3, dtype=np.float32)))
    # The second start resumes from the same step as the first: its sheet replaces the first one.
    for start in (0, 0, 7):
        start_of(tmp_path, tiny_recipe("seme_resnet50"), start, batches=[batch, None])
    (first, second) = points(tmp_path / STEPS, "inputs")
    assert [first[0], second[0]] == [1, 8]
    width, height, png = first[1]
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == (int(height), int(width))


def test_each_epoch_has_a_confusion_matrix(tiny_recipe, tmp_path):
    matrices = iter([np.eye(3, dtype=int), None])
    log = start_of(tmp_path, tiny_recipe("seme_resnet50"), 0, confusion=lambda: next(matrices))
    train(log, 0, 50, 1.0)
    assert [step for step, _ in points(tmp_path / EPOCHS, "confusion")] == [1]


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def test_the_sheet_shows_each_image_with_its_label():
    images = np.stack([np.full((40, 30, 1), value, np.uint8) for value in (10, 90, 170, 250, 50)])
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
    sheet = pixels(input_sheet(images, targets, ("normal", "bacteria", "virus")))
    assert sheet.shape == (320, 480, 3)
    centres = sheet[[80, 80, 80, 240, 240], [80, 240, 400, 80, 240], 0]
    np.testing.assert_allclose(centres, [10, 90, 170, 250, 50], atol=1)
    np.testing.assert_array_equal(sheet[240, 400], 255)
    # The label is white on a dark band at the top; other names give another image.
    assert sheet[:20, :60].max() > 200
    others = pixels(input_sheet(images, targets, ("normal", "COVID-19", "virus")))
    assert (sheet[:160, :160] == others[:160, :160]).all()
    assert (sheet[:160, 160:320] != others[:160, 160:320]).any()


def test_the_sheet_holds_sixteen_images_and_outlines_masks():
    images = np.zeros((20, 64, 64, 3), np.uint8)
    masks = np.zeros((20, 64, 64, 1), np.float32)
    masks[0, 16:48, 16:48] = 1
    sheet = pixels(input_sheet(images, masks, ("lung",)))
    assert sheet.shape == (640, 640, 3)
    rows, columns = np.nonzero(sheet.any(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 119, 40, 119)
    assert not sheet[60:100, 60:100].any()


def test_the_colours_of_the_matrix_are_shares_of_each_row():
    even, skewed = (
        pixels(confusion_sheet(matrix, ("a", "b"))) for matrix in ([[5, 5], [0, 0]], [[9, 1], [0, 3]])
    )
    assert (even != skewed).any()
    # A class without images must not divide by zero.
    assert pixels(confusion_sheet(np.zeros((2, 2), int), ("a", "b"))).min() < 100
