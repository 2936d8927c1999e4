"""The parameter randomisation test: heat maps that survive random weights do not explain the network."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import keras
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from semenet.errors import SemenetError
from semenet.inference.heat_maps.explained_layers import layer_name
from semenet.inference.heat_maps.map_choice import method_function
from semenet.models.cloning import clone_uncompiled

# With all weights randomised, the interval of the mean rank correlation must end below this value.
MAX_CORRELATION = 0.5
WINDOW = 7
_GROUPS = 5


def randomization_check(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | Sequence[int] | np.ndarray | None = None,
    *,
    method: str = "grad-cam",
    layer: str | int = "features",
    seed: int = 0,
    batch_size: int = 16,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Compares heat maps with those of the same network, its weights re-initialised from the top downwards.

    Groups of layers, by stage (`head`, `conv5`, `conv4`, ...; fifths of the depth if the names do not
    identify stages), are re-initialised one after another and stay so, each weight by its layer's own
    initializer; batch normalisation statistics are reset too. Maps of a method that explains the network
    change completely. The check works on a float32 copy; `model` itself is not changed.

    Maps are compared by Spearman's rank correlation over their cells and, if they have at least 7 x 7 cells,
    by SSIM. Images whose map is constant before or after, such as 0 everywhere, are left out and counted:
    their cells have no order to compare. The network passes if, with all weights re-initialised, the 95 %
    interval of the mean correlation (bootstrap over images) ends below `MAX_CORRELATION`.

    Args:
        model: a classifier with a dense layer `head`, on the TensorFlow backend.
        images: `(N, H, W, C)`, values in [0, 255], as input of the model.
        class_index: the classes to explain, an int or `(N,)`; None for those predicted by the trained
            network. They stay the same for all groups.
        method: a key of `semenet.inference.heat_maps.class_activation.METHODS`.
        layer: name or stride of the layer that is explained.
        seed: seed of the weights and the resamples.
        batch_size: number of images at a time.
        resamples: number of bootstrap resamples.

    Returns:
        dict: `groups`, a list of dicts in order of re-initialisation, with `group`, `correlation`, `low`,
        `high` (mean and interval), `ssim` (mean, or None for small maps), `count` and `empty` (images
        compared, and left out); `passes`, a bool, None if fewer than two images could be compared at the end;
        `rule`, str; `method`, `layer` and `seed`. Values without an image are None; so are intervals of fewer
        than two images.

    Raises:
        SemenetError: as for the method's function.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292, section 3.1.
    """
    images = np.asarray(images)
    copy = float32_copy(model)
    layer = layer_name(copy, layer)
    explain = method_function(method)(copy, layer)

    def heat_maps(index: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), batch_size)
        parts = [explain(images[at : at + batch_size], index[at : at + batch_size]) for at in starts]
        return np.concatenate([heat for heat, _ in parts])

    if class_index is None:
        starts = range(0, len(images), batch_size)
        outputs = [explain(images[at : at + batch_size])[1] for at in starts]
        class_index = np.concatenate(outputs).argmax(axis=1)
    explained = np.broadcast_to(class_index, len(images))
    original = heat_maps(explained)
    generator = np.random.default_rng(seed)
    groups = []
    for name, layers in layer_groups(copy, layer):
        for member in layers:
            reinitialize(member, generator)
        groups.append({"group": name} | map_similarity(original, heat_maps(explained), seed, resamples))
    return {
        "groups": groups,
        "passes": passes(groups[-1]),
        "rule": "with all weights randomised, the 95 % interval of the mean rank correlation ends below "
        f"{MAX_CORRELATION}",
        "method": method,
        "layer": layer,
        "seed": seed,
    }


def layer_groups(model: keras.Model, layer: str = "features") -> list[tuple[str, list[keras.layers.Layer]]]:
    """Groups the layers with weights, from the top downwards.

    Args:
        model: a functional model.
        layer: name of the layer that is explained; the layers after it form the group `head`.

    Returns:
        list of pairs: name, and the list of layers.
    """
    names = [member.name for member in model.layers]
    position = names.index(layer) if layer in names else len(names) - 1
    groups = [("head", [member for member in model.layers[position + 1 :] if member.weights])]
    below = [member for member in model.layers[: position + 1] if member.weights]
    stages: dict[str | None, list[keras.layers.Layer]] = {}
    stage = None
    for member in below:
        # DenseNet's transition `pool4` belongs to the fourth stage; its final `bn` to the last one.
        found = re.match(r"(?:conv|block|pool)(\d+)(?:_|$)", member.name)
        stage = f"conv{found[1]}" if found else stage
        stages.setdefault(stage, []).append(member)
    if None in stages or len(stages) < 3:
        parts = [part for part in np.array_split(np.arange(len(below)), _GROUPS) if part.size]
        stages = {f"part {number}": [below[at] for at in part] for number, part in enumerate(parts, start=1)}
    return [group for group in (*groups, *reversed(stages.items())) if group[1]]


def plot_randomization(result: dict[str, Any]) -> Figure:
    """Plots the rank correlation over the randomised groups, with its intervals.

    Args:
        result: dict, as returned by `randomization_check`.

    Returns:
        Figure.
    """
    groups = result["groups"]
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(1, len(groups) + 1)
    values = np.array([[group[key] for key in ("correlation", "low", "high")] for group in groups], float)
    axes.axhline(MAX_CORRELATION, color="0.75", linewidth=1, zorder=0)
    axes.plot([0, *places], [1, *values[:, 0]], color="#0072B2", marker="o", label="rank correlation")
    axes.fill_between(places, values[:, 1], values[:, 2], color="#0072B2", alpha=0.2, linewidth=0)
    if any(group["ssim"] is not None for group in groups):
        ssim = np.array([group["ssim"] for group in groups], float)
        axes.plot([0, *places], [1, *ssim], color="#D55E00", linestyle="--", marker="s", label="SSIM")
    axes.set_xticks([0, *places], ["trained", *(group["group"] for group in groups)], rotation=30)
    axes.set(xlabel="Randomised from the head down to", ylabel="Similarity to the trained network's maps")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.92")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes Spearman's rank correlation of pairs of maps; ties share their mean rank.

    Args:
        first: `(N, h, w)`.
        second: `(N, h, w)`.

    Returns:
        float64 array `(N,)` in [-1, 1]; NaN if one map of a pair is constant.
    """
    # `scipy.stats.spearmanr` compares columns of one table; here each pair of maps is its own comparison.
    ranks = [stats.rankdata(np.reshape(maps, (len(maps), -1)), axis=1) for maps in (first, second)]
    x, y = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    norms = np.sqrt(np.square(x).sum(axis=1) * np.square(y).sum(axis=1))
    return np.divide((x * y).sum(axis=1), norms, out=np.full(len(x), np.nan), where=norms > 0)


def structural_similarity(first: np.ndarray, second: np.ndarray) -> float | None:
    """Computes the SSIM of two maps: the mean over all 7 x 7 windows inside, uniformly weighted.

    Own code because scipy has no SSIM, scikit-image would be a further dependency for this one function, and
    `tf.image.ssim` has Gaussian windows only.

    Args:
        first: `(h, w)` in [0, 1], both sides 7 or more.
        second: the same.

    Returns:
        float in [-1, 1]; None for smaller maps.

    Reference:
        Wang et al., "Image quality assessment", https://doi.org/10.1109/TIP.2003.819861, with its K1 = 0.01
        and K2 = 0.03, and biased variances.
    """
    if min(first.shape) < WINDOW:
        return None
    edge = WINDOW // 2
    x, y = (np.asarray(each, np.float64) for each in (first, second))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        cv2.blur(each, (WINDOW, WINDOW))[edge:-edge, edge:-edge] for each in (x, y, x * x, y * y, x * y)
    )
    covariance = mean_xy - mean_x * mean_y
    variances = mean_xx - mean_x**2 + mean_yy - mean_y**2
    luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    return float(np.mean(luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2)))


def map_similarity(
    original: np.ndarray, randomised: np.ndarray, seed: int = 0, resamples: int = 2000
) -> dict[str, Any]:
    """Compares the maps of a trained network with those of the same network with random weights.

    Args:
        original: `(N, h, w)`.
        randomised: the same.
        seed: seed of the resamples.
        resamples: number of bootstrap resamples.

    Returns:
        dict: `correlation`, `low`, `high`, `ssim`, `count` and `empty`, see `randomization_check`.
    """
    correlations = rank_correlation(original, randomised)
    pairs = np.flatnonzero(~np.isnan(correlations))
    correlations = correlations[pairs]
    low = high = None
    if len(correlations) > 1:
        picks = np.random.default_rng(seed).integers(len(correlations), size=(resamples, len(correlations)))
        low, high = np.percentile(correlations[picks].mean(axis=1), (2.5, 97.5)).tolist()
    ssims = [structural_similarity(original[at], randomised[at]) for at in pairs]
    return {
        "correlation": float(correlations.mean()) if len(correlations) else None,
        "low": low,
        "high": high,
        "ssim": float(np.mean(ssims)) if ssims and ssims[0] is not None else None,
        "count": len(correlations),
        "empty": len(original) - len(correlations),
    }


def passes(compared: Mapping[str, Any]) -> bool | None:
    """Returns whether maps depend on the weights, from `map_similarity` with all weights randomised.

    None if fewer than two images could be compared.
    """
    return None if compared["high"] is None else compared["high"] < MAX_CORRELATION


def float32_copy(model: keras.Model) -> keras.Model:
    """Returns a copy of a functional model with weights of its own that computes in float32."""
    copy = clone_uncompiled(model, clone_function=_in_float32)
    copy.set_weights(model.get_weights())
    return copy


def _in_float32(layer: keras.layers.Layer) -> keras.layers.Layer:
    # Activations of random weights may exceed the range of float16.
    return type(layer).from_config(layer.get_config() | {"dtype": "float32"})


def reinitialize(layer: keras.layers.Layer, generator: np.random.Generator) -> None:
    """Draws all weights of a layer again, each by its layer's own initializer."""
    for variable in layer.weights:
        initializer = getattr(layer, f"{variable.name}_initializer", None)
        if initializer is None:
            raise SemenetError(
                "The randomisation check draws weights from their layer's own initializers. "
                f"Received: {variable.path}, whose layer, a {type(layer).__name__}, has none. "
                "Use a network built by semenet.build."
            )
        config = initializer.get_config()
        # Keras' initializers are functions of their seed: two draws with the same seed would be equal.
        if "seed" in config:
            config["seed"] = int(generator.integers(2**31))
        variable.assign(type(initializer).from_config(config)(variable.shape, dtype=variable.dtype))
