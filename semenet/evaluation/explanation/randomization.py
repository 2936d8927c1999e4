"""The randomisation check of heat maps: a map that survives random weights shows nothing of the network."""

import re

import cv2
import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semenet.errors import SemenetError
from semenet.inference.class_activation import method_function

# After full randomisation the interval of the mean rank correlation has to end below this.
HIGHEST_CORRELATION = 0.5
WINDOW = 7
_GROUPS = 5


def randomization_check(
    model,
    images,
    class_index=None,
    *,
    method="grad-cam",
    layer="features",
    seed=0,
    batch_size=16,
    resamples=2000,
):
    """Compares heat maps with those of the same network, its weights drawn anew from the top downwards.

    Groups of layers, by stage (`head`, `conv5`, `conv4`, ...; fifths of the depth where the names tell no
    stages), are drawn anew one after another and stay so, each weight by its own layer's initializer;
    statistics of batch normalisations go back to theirs. Maps of a method that explains the network change
    beyond recognition. It all happens on a float32 copy; `model` itself is not touched.

    Maps are compared by Spearman's rank correlation over their cells and, where they have 7 x 7 cells or
    more, by SSIM. Images whose map is the same everywhere before or after, such as 0 throughout, are left
    out and counted: there is no order of cells to compare. The network passes if, with all weights drawn
    anew, the mean correlation's 95 % interval (bootstrap over images) ends below `HIGHEST_CORRELATION`.

    Args:
        model: a classifier with a dense layer `head`, on the TensorFlow backend.
        images: `(N, H, W, C)`, values in [0, 255], as the model takes them.
        class_index: the classes to explain, an int or `(N,)`; None for those predicted by the trained
            network, which are kept throughout.
        method: a key of `semenet.inference.class_activation.METHODS`.
        layer: name of the layer that the maps are of.
        seed: int, of the weights and the resamples.
        batch_size: int, images at a time.
        resamples: int, of the bootstrap.

    Returns:
        dict: `groups`, a list of dicts in the order drawn, with `group`, `correlation`, `low`, `high` (mean
        and interval), `ssim` (mean, or None for small maps), `count` and `empty` (images compared, and left
        out); `passes`, a bool, None if fewer than two images could be compared at the end; `rule`, str;
        `method`, `layer` and `seed`. Figures without an image are None; intervals of fewer than two too.

    Raises:
        ValueError: as of the method's function.

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292, section 3.1.
    """
    images = np.asarray(images)
    copy = keras.models.clone_model(model, clone_function=_in_float32)
    copy.set_weights(model.get_weights())
    explain = method_function(method)(copy, layer)

    def maps(index):
        starts = range(0, len(images), batch_size)
        parts = [explain(images[at : at + batch_size], index[at : at + batch_size]) for at in starts]
        return np.concatenate([heat for heat, _ in parts])

    if class_index is None:
        starts = range(0, len(images), batch_size)
        outputs = [explain(images[at : at + batch_size])[1] for at in starts]
        class_index = np.concatenate(outputs).argmax(axis=1)
    class_index = np.broadcast_to(class_index, len(images))
    original = maps(class_index)
    draws = np.random.default_rng(seed)
    groups = []
    for name, layers in layer_groups(copy, layer):
        for drawn in layers:
            _draw_anew(drawn, draws)
        groups.append({"group": name} | _compared(original, maps(class_index), seed, resamples))
    last = groups[-1]
    return {
        "groups": groups,
        "passes": None if last["high"] is None else last["high"] < HIGHEST_CORRELATION,
        "rule": "with all weights drawn anew, the 95 % interval of the mean rank correlation ends below "
        f"{HIGHEST_CORRELATION}",
        "method": method,
        "layer": layer,
        "seed": seed,
    }


def layer_groups(model, layer="features"):
    """The layers with weights, in groups from the top downwards.

    Args:
        model: a functional model.
        layer: name of the layer that is explained; what lies behind it is the group `head`.

    Returns:
        list of pairs: name, and the list of layers.
    """
    names = [each.name for each in model.layers]
    place = names.index(layer) if layer in names else len(names) - 1
    groups = [("head", [each for each in model.layers[place + 1 :] if each.weights])]
    below = [each for each in model.layers[: place + 1] if each.weights]
    stages = {}
    stage = None
    for each in below:
        # DenseNet's transition `pool4` belongs to the fourth stage; its last `bn` to the last one.
        found = re.match(r"(?:conv|block|pool)(\d+)(?:_|$)", each.name)
        stage = f"conv{found[1]}" if found else stage
        stages.setdefault(stage, []).append(each)
    if None in stages or len(stages) < 3:
        parts = [part for part in np.array_split(np.arange(len(below)), _GROUPS) if part.size]
        stages = {f"part {number}": [below[at] for at in part] for number, part in enumerate(parts, start=1)}
    return [group for group in (*groups, *reversed(stages.items())) if group[1]]


def sanity_curve(result):
    """The rank correlation over the groups drawn anew, with its intervals.

    Args:
        result: dict, of `randomization_check`.

    Returns:
        Figure.
    """
    groups = result["groups"]
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(1, len(groups) + 1)
    number = np.array([[group[key] for key in ("correlation", "low", "high")] for group in groups], float)
    axes.axhline(HIGHEST_CORRELATION, color="0.75", linewidth=1, zorder=0)
    axes.plot([0, *places], [1, *number[:, 0]], color="#0072B2", marker="o", label="rank correlation")
    axes.fill_between(places, number[:, 1], number[:, 2], color="#0072B2", alpha=0.2, linewidth=0)
    if any(group["ssim"] is not None for group in groups):
        ssim = np.array([group["ssim"] for group in groups], float)
        axes.plot([0, *places], [1, *ssim], color="#D55E00", linestyle="--", marker="s", label="SSIM")
    axes.set_xticks([0, *places], ["trained", *(group["group"] for group in groups)], rotation=30)
    axes.set(xlabel="Drawn anew, down to", ylabel="Likeness to the trained network's maps")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.92")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


def rank_correlation(first, second):
    """Spearman's rank correlation of pairs of maps; ties share their mean rank.

    Args:
        first: `(N, h, w)`.
        second: `(N, h, w)`.

    Returns:
        float64 array `(N,)` in [-1, 1]; NaN where one of the two is the same everywhere.
    """
    ranks = []
    for maps in (first, second):
        of_cells = pd.DataFrame(np.reshape(maps, (len(maps), -1)).T).rank().to_numpy().T
        ranks.append(of_cells - of_cells.mean(axis=1, keepdims=True))
    products = np.sum(ranks[0] * ranks[1], axis=1)
    lengths = np.sqrt(np.square(ranks[0]).sum(axis=1) * np.square(ranks[1]).sum(axis=1))
    return np.divide(products, lengths, out=np.full(len(products), np.nan), where=lengths > 0)


def structural_similarity(first, second):
    """SSIM of two maps: its mean over all windows of 7 x 7 cells, evenly weighted, that lie inside.

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


def _compared(original, drawn, seed, resamples):
    correlations = rank_correlation(original, drawn)
    pairs = np.flatnonzero(~np.isnan(correlations))
    correlations = correlations[pairs]
    low = high = None
    if len(correlations) > 1:
        picks = np.random.default_rng(seed).integers(len(correlations), size=(resamples, len(correlations)))
        low, high = np.percentile(correlations[picks].mean(axis=1), (2.5, 97.5)).tolist()
    ssims = [structural_similarity(original[at], drawn[at]) for at in pairs]
    return {
        "correlation": float(correlations.mean()) if len(correlations) else None,
        "low": low,
        "high": high,
        "ssim": float(np.mean(ssims)) if ssims and ssims[0] is not None else None,
        "count": len(correlations),
        "empty": len(original) - len(correlations),
    }


def _in_float32(layer):
    # Activations of random weights may leave float16's range.
    return type(layer).from_config(layer.get_config() | {"dtype": "float32"})


def _draw_anew(layer, draws):
    for variable in layer.weights:
        initializer = getattr(layer, f"{variable.name}_initializer", None)
        if initializer is None:
            raise SemenetError(
                "The randomisation check draws weights by their layer's own initializers. "
                f"Received: {variable.path}, whose layer, a {type(layer).__name__}, names none. "
                "Use a network that semenet.build made."
            )
        config = initializer.get_config()
        # Keras' initializers are functions of their seed: two draws with one would be equal.
        if "seed" in config:
            config["seed"] = int(draws.integers(2**31))
        variable.assign(type(initializer).from_config(config)(variable.shape, dtype=variable.dtype))
