import keras
import numpy as np
import pandas as pd
import pytest

from semenet.training import precision
from semenet.training.loop import optimization
from semenet.training.loop.fit import build_network
from semenet.training.loop.optimization import class_weights, compile_network, learning_rate
from semenet.training.precision import choose_precision


def rates(recipe, steps, at):
    schedule = learning_rate(recipe, steps)
    return [float(schedule(step)) for step in at]


def annealed(high, low, share):
    return low + 0.5 * (high - low) * (1 + np.cos(np.pi * share))


def test_cosine_annealing_ends_at_the_minimum(tiny_recipe):
    recipe = tiny_recipe("seme_resnet50_dataset2", epochs=3)
    expected = [annealed(0.1, 1e-8, share) for share in (0, 10 / 21, 1)]
    np.testing.assert_allclose(rates(recipe, 7, (0, 10, 21)), expected, rtol=1e-3)


def test_warm_up_is_linear_and_part_of_all_steps(tiny_recipe):
    recipe = tiny_recipe("seme_resnet50_dataset2", epochs=3, warmup=1 / 3, minimum_learning_rate=0.0)
    found = rates(recipe, 10, (0, 5, 10, 20, 30))
    np.testing.assert_allclose(found, [0, 0.05, 0.1, annealed(0.1, 0, 0.5), 0], atol=1e-7)


def test_each_cycle_goes_from_the_learning_rate_to_the_minimum(tiny_recipe):
    recipe = tiny_recipe("seme_resnet50_dataset2", epochs=4, cycles=2, minimum_learning_rate=0.001)
    found = rates(recipe, 10, (0, 10, 21, 31, 40))
    shares = (0, 10 / 20, 1 / 20, 11 / 20, 1)
    np.testing.assert_allclose(found, [annealed(0.1, 0.001, share) for share in shares], rtol=1e-3)


def test_class_weights_are_inversely_proportional_to_class_size_with_mean_one(tiny_recipe):
    rows = pd.DataFrame({"label": ["normal"] * 2 + ["bacteria"] * 6 + ["virus"] * 4, "file": "x"})
    assert class_weights(tiny_recipe("vgg19_gap"), rows) is None
    weights = class_weights(tiny_recipe("vgg19_gap", class_weights="balanced"), rows)
    assert weights == pytest.approx({0: 2.0, 1: 4 / 6, 2: 1.0})
    assert 2 * weights[0] + 6 * weights[1] + 4 * weights[2] == pytest.approx(12)


def test_the_loss_smooths_labels(tiny_recipe):
    for smoothing in (0.0, 0.3):
        recipe = tiny_recipe("vgg19_gap", label_smoothing=smoothing)
        model = build_network(recipe)
        compile_network(model, recipe, 10, jit_compile=False)
        labels, outputs = np.array([[1.0, 0, 0]]), np.array([[0.7, 0.2, 0.1]])
        target = labels * (1 - smoothing) + smoothing / 3
        loss = float(model.compute_loss(y=labels, y_pred=outputs))
        assert loss == pytest.approx(-(target * np.log(outputs)).sum(), rel=1e-5)


def test_weight_decay_shrinks_only_kernels_and_clipping_limits_the_step(tiny_recipe):
    recipe = tiny_recipe("vgg19_gap", optimizer="adamw", weight_decay=0.1, learning_rate=0.01)
    model = build_network(recipe)
    compile_network(model, recipe, 10, jit_compile=False)
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    model.optimizer.apply([np.zeros(weight.shape, "float32") for weight in model.trainable_weights])
    for weight in model.trainable_weights:
        kept = 1 - 0.01 * 0.1 if weight.path.endswith("kernel") else 1
        np.testing.assert_allclose(weight.numpy(), kept, rtol=1e-6)

    recipe = tiny_recipe("vgg19_gap", clip_norm=0.5, learning_rate=1.0, momentum=0.0)
    model = build_network(recipe)
    compile_network(model, recipe, 10, jit_compile=False)
    before = [weight.numpy() for weight in model.trainable_weights]
    model.optimizer.apply([np.ones(weight.shape, "float32") for weight in model.trainable_weights])
    change = [weight.numpy() - old for weight, old in zip(model.trainable_weights, before, strict=True)]
    assert np.sqrt(sum((part**2).sum() for part in change)) == pytest.approx(0.5, rel=1e-4)


def test_the_training_step_is_traced_once(tiny_recipe, monkeypatch):
    """If the first trace created a variable, TensorFlow would trace the step again."""
    recipe = tiny_recipe("vgg19_gap")
    model = build_network(recipe)
    compile_network(model, recipe, 10, jit_compile=False)
    traces = []
    call = type(model).call
    monkeypatch.setattr(
        type(model), "call", lambda *args, **kwargs: traces.append(1) or call(*args, **kwargs)
    )
    model.train_on_batch(np.zeros((2, 32, 32, 1), "uint8"), np.eye(3)[:2])
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("capability", "policy"), [(None, "float32"), ((7, 0), "mixed_float16"), ((9, 0), "mixed_bfloat16")]
)
def test_automatic_precision_follows_the_gpu(monkeypatch, capability, policy):
    monkeypatch.setattr(precision, "bfloat16_instructions", lambda: ())
    gpus = [] if capability is None else ["GPU:0"]
    monkeypatch.setattr(optimization.tf.config, "list_physical_devices", lambda kind: gpus)
    details = {"compute_capability": capability}
    monkeypatch.setattr(optimization.tf.config.experimental, "get_device_details", lambda gpu: details)
    assert choose_precision("auto", "seme_resnet50").policy == policy
    assert choose_precision("float32", "seme_resnet50").policy == "float32"


def test_float16_scales_its_loss(tiny_recipe):
    keras.config.set_dtype_policy("mixed_float16")
    recipe = tiny_recipe("vgg19_gap")
    model = build_network(recipe)
    compile_network(model, recipe, 10, jit_compile=False)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
