"""The paper's table 2 and figure 3: does K-means find the data sets that images come from, without labels?

Usage: python tools/domains/clusters.py --manifest NAME=CSV --manifest NAME=CSV ... --out FOLDER
           [--features hash|RUN] [--clusters K] [--per-set 500] [--by COLUMN] [--split SPLIT ...] [--seed 0]

A set is a manifest, or the rows of a manifest selected by NAME=CSV:COLUMN=VALUE. Manifests with the same NAME
form one set. The paper's three sets, COVID-19, other X-rays and ImageNet:

    --manifest COVID-19=dataset2.csv:label=COVID-19 --manifest "other X-rays=dataset1.csv"
    --manifest ImageNet=imagenet.csv

ImageNet is not part of this project; `semenet data folder` makes a manifest of any folder of images. With
--by, each value of a column is a set, such as each `source` or each `label` of one manifest.

Features: `hash` is a perceptual hash, 64 bits that show which low frequencies are strong in the image (the
paper says "hash trac", which we read as a perceptual hash). It does not depend on brightness and contrast,
but on framing, position, borders, large burnt-in text and inversion. With a run folder, the features are the
inputs of its network's head, not scaled.

A purity near 1 shows that the sets can be separated by how the images were made (scanner, framing, age of the
patients, file processing), without any sign of disease. A network that learns classes that coincide with such
sets can score well by recognising the source. A purity near chance shows only that these features do not
separate the sets.

Writes domain_clusters.png and .pdf (the first two principal components) and domain_clusters.json.
"""

import concurrent.futures
import json
import os
import pathlib

import cv2
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from image_sets import draw_images, gather_sets, read_source

from semenet.cli.recipe import report_errors
from semenet.data.checks.duplicates import make_thumbnail
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError
from semenet.evaluation.drawing.plots import COLOURS
from semenet.progress import show_steps, track
from semenet.storage.atomic import output_folder, replacing, write_text

NAME = "domain_clusters"
MARKERS = "os^Dv<>PX*"
_SHUFFLES = 1000


def main(
    manifest: tyro.conf.UseAppendAction[tuple[str, ...]],
    out: pathlib.Path,
    features: str = "hash",
    clusters: int | None = None,
    per_set: int = 500,
    by: str | None = None,
    split: tuple[str, ...] = (),
    seed: int = 0,
) -> None:
    """Clusters the images and compares the clusters with the sets.

    Args:
        manifest: NAME=CSV, or NAME=CSV:COLUMN=VALUE for some of its rows. Can be repeated.
        out: Folder to write into.
        features: "hash", or a run folder whose network computes pooled features.
        clusters: K of K-means. None: the number of sets.
        per_set: Number of images sampled from each set; all images of a smaller set.
        by: Column whose values form separate sets within each manifest. None: each name is one set.
        split: Splits to sample from. None: all.
        seed: Seed of the sampling, of K-means and of the permutations.
    """
    output_folder(out)
    sources = [read_source(text, split) for text in manifest]
    sets = gather_sets(sources, by)
    clusters = len(sets) if clusters is None else clusters
    rows = draw_images(sets, per_set, seed)
    if not 2 <= clusters <= len(MARKERS):
        raise SemenetError(
            f"The figure has markers for 2 to {len(MARKERS)} clusters. Received: {clusters}. Set --clusters."
        )
    values, description = hash_features(rows) if features == "hash" else network_features(features, rows)
    names = list(sets)
    of_set = rows["set"].map(names.index).to_numpy()
    cluster = find_clusters(values, of_set, clusters, seed)
    result = {
        "sets": {
            name: {"images": int((of_set == index).sum()), "available": len(sets[name])}
            for index, name in enumerate(names)
        },
        "manifests": [
            {key: value for key, value in vars(source).items() if key != "rows"} for source in sources
        ],
        "by": by,
        "splits": list(split),
        "seed": seed,
        "features": description,
        "clusters": clusters,
        **compare(of_set, cluster, len(names), clusters, seed),
    }
    places, result["explained_variance"] = project(values)
    figure = draw_figure(places, of_set, cluster, result)
    for suffix in (".png", ".pdf"):
        with replacing(out / f"{NAME}{suffix}") as temporary:
            figure.savefig(temporary, dpi=150)
    write_text(out / f"{NAME}.json", json.dumps(result, indent=2) + "\n")
    table = pd.DataFrame(result["contingency"], columns=names).rename(index=lambda k: f"cluster {k + 1}")
    print(f"{table.to_string()}\n\n{summary(result)}\n{out / NAME}.png, .pdf and .json")


def perceptual_hash(image):
    """Computes a perceptual hash: which of the 64 lowest frequencies are stronger than their median.

    Args:
        image: uint8 `(height, width)`, values in [0, 255].

    Returns:
        float32 `(64,)` of 0 and 1: whether each discrete cosine coefficient of the image's thumbnail, with
        frequencies 1 to 8 in both directions, is above their median. The squared Euclidean distance of two
        hashes is their Hamming distance.

    Reference:
        Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010.
    """
    coefficients = cv2.dct(make_thumbnail(image).astype(np.float32))[1:9, 1:9].ravel()
    return (coefficients > np.median(coefficients)).astype(np.float32)


def hash_features(rows):
    """Returns the `perceptual_hash` of the images at `path`, float32 `(N, 64)`, and a description."""
    with show_steps("Reading") as show, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = []
        for bits in pool.map(lambda path: perceptual_hash(read_image(path)), rows["path"]):
            found.append(bits)
            show(len(found), len(rows))
    return np.stack(found), {"kind": "hash", "values": 64}


def network_features(path, rows):
    """Returns the inputs of the head of a run's classifier, float32 `(N, C)`, and a description.

    Raises:
        SemenetError: the network is a segmentation network.
        WeightsError: the run has no network.
        ImageError: an image cannot be read.
    """
    import keras

    from semenet.data.pipeline.datasets import evaluation_dataset
    from semenet.data.pipeline.tf_data import unwrapped_errors
    from semenet.training.run_folder.run import Run

    run = Run.open(path)
    if run.segments:
        raise SemenetError(
            f"Pooled features need a classifier. Received: {path}, a segmentation network. Use another run."
        )
    network = keras.Model(run.model.input, run.model.get_layer("head").input)
    dataset = evaluation_dataset(
        rows,
        input_size=run.input_size,
        channels=run.channels,
        batch_size=16,
        inference_clahe=run.inference_clahe,
    )
    with unwrapped_errors():
        found = [network.predict_on_batch(images) for images in track(dataset, len(rows), "Reading")]
    values = np.concatenate(found).astype(np.float32)
    description = {"kind": "network", "values": values.shape[1], "run": str(path)}
    return values, description | {"trained_on": run.record.get("manifest_sha256")}


def find_clusters(values, of_set, clusters, seed):
    """Runs K-means and returns the clusters, int `(N,)`, ordered by their most common set.

    Raises:
        SemenetError: there are fewer different feature vectors than clusters.
    """
    from sklearn.cluster import KMeans

    different = len(np.unique(values, axis=0))
    if different < clusters:
        raise SemenetError(
            f"K-means needs at least as many different feature vectors as clusters. Received: {different} "
            f"different vectors of {len(values)} images, for {clusters} clusters. Use fewer clusters, or "
            "other features."
        )
    found = KMeans(clusters, n_init=10, random_state=seed).fit_predict(values)
    counts = count(of_set, found, of_set.max() + 1, clusters)
    order = sorted(range(clusters), key=lambda index: (counts[index].argmax(), -counts[index].max()))
    return np.argsort(order)[found]


def count(of_set, cluster, sets, clusters):
    """Counts the images by cluster and set: int `(clusters, sets)`."""
    return np.bincount(cluster * sets + of_set, minlength=sets * clusters).reshape(clusters, sets)


def purity(counts):
    """Returns the share of images that belong to the most common set of their cluster."""
    return float(counts.max(axis=1).sum() / counts.sum())


def compare(of_set, cluster, sets, clusters, seed):
    """Measures the agreement of clusters and sets, as a dict for JSON.

    Chance is the purity of the same clusters with randomly permuted sets. With one large set the purity is
    high for any features; the other two scores are corrected or scaled for that.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    generator = np.random.default_rng(seed)
    shuffled = [
        purity(count(generator.permutation(of_set), cluster, sets, clusters)) for _ in range(_SHUFFLES)
    ]
    counts = count(of_set, cluster, sets, clusters)
    return {
        "contingency": counts.tolist(),
        "purity": purity(counts),
        "purity_by_chance": {
            "mean": float(np.mean(shuffled)),
            "quantile_95": float(np.quantile(shuffled, 0.95)),
            "shuffles": _SHUFFLES,
        },
        "adjusted_rand_index": float(adjusted_rand_score(of_set, cluster)),
        "normalized_mutual_information": float(normalized_mutual_info_score(of_set, cluster)),
    }


def project(values):
    """Returns the first two principal components, `(N, 2)`, and their shares of the variance."""
    from sklearn.decomposition import PCA

    components = PCA(2, svd_solver="full")
    return components.fit_transform(values), components.explained_variance_ratio_.tolist()


def draw_figure(places, of_set, cluster, result):
    """Plots the images by their first two components; colours are sets, markers are clusters."""
    figure = Figure(figsize=(9.2, 5.8), layout="constrained")
    axes = figure.add_subplot()
    sizes = [part["images"] for part in result["sets"].values()]
    # Large sets first, so that they do not cover the small ones.
    for index in np.argsort(sizes)[::-1]:
        for number in range(result["clusters"]):
            here = places[(of_set == index) & (cluster == number)]
            axes.scatter(*here.T, s=26, c=COLOURS[index], marker=MARKERS[number], alpha=0.6, linewidths=0)
    colours = [
        Patch(color=COLOURS[index], label=f"{name} ({part['images']} images)")
        for index, (name, part) in enumerate(result["sets"].items())
    ]
    markers = [
        Line2D([], [], color="0.4", linestyle="", marker=MARKERS[index], label=f"cluster {index + 1}")
        for index in range(result["clusters"])
    ]
    figure.legend(handles=colours + markers, loc="outside right upper", frameon=False)
    shares = result["explained_variance"]
    axes.set(
        xlabel=f"First principal component ({shares[0]:.0%} of the variance)",
        ylabel=f"Second principal component ({shares[1]:.0%})",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(summary(result), fontsize="x-small", color="0.4")
    return figure


def summary(result):
    """Returns the scores in two lines."""
    chance = result["purity_by_chance"]
    return (
        f"K-means, {result['clusters']} clusters of {result['features']['kind']} features: purity "
        f"{result['purity']:.3f}; by chance {chance['mean']:.3f}, 95 % quantile {chance['quantile_95']:.3f}\n"
        f"Adjusted Rand index {result['adjusted_rand_index']:.3f}, normalised mutual information "
        f"{result['normalized_mutual_information']:.3f}"
    )


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
