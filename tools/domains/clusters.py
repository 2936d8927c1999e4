"""The paper's table 2 and figure 3: does K-means, which sees no label, find the sets that images come from?

Usage: python tools/domains/clusters.py --manifest NAME=CSV --manifest NAME=CSV ... --out FOLDER
           [--features hash|RUN] [--clusters K] [--per-set 500] [--by COLUMN] [--split SPLIT ...] [--seed 0]

A set is a manifest, or the rows of it that NAME=CSV:COLUMN=VALUE picks; manifests of one NAME become one set.
The paper's three, COVID-19, other X-rays and ImageNet:

    --manifest COVID-19=dataset2.csv:label=COVID-19 --manifest "other X-rays=dataset1.csv"
    --manifest ImageNet=imagenet.csv

No ImageNet comes with this project: any folder of images becomes a manifest with `semenet data folder`. With
--by, each value of a column is a set, such as each `source` or each `label` of one manifest.

Features: `hash`, 64 bits that say which slow patterns are strong in the image (the paper says "hash trac"; we
read it as a perceptual hash). Brightness and contrast do not enter into them; framing, posture, borders,
large burnt-in text and inversion do. Or RUN, a run folder: what goes into its network's head, unscaled.

A purity near 1 says that the images fall into the sets by themselves: these are told apart by how the images
were made (scanner, framing, age of the patients, file processing) before any disease is looked for. A network
that is to tell classes apart which stand in such sets can score well by the source alone. A purity near
chance says only that these features do not show it.

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
from semenet.data.checks.duplicates import thumbnail
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
        manifest: NAME=CSV, or NAME=CSV:COLUMN=VALUE for some of its rows; once for each.
        out: Folder to write into.
        features: "hash", or a run folder whose network's pooled features are taken.
        clusters: K of K-means. None: the number of sets.
        per_set: Images drawn from each set; a smaller set is taken whole.
        by: Column whose values are sets of their own within each manifest. None: a name is a set.
        split: Splits to draw from. None: all.
        seed: Seed of the draw, of K-means and of the shuffles.
    """
    output_folder(out)
    sources = [read_source(text, split) for text in manifest]
    sets = gather_sets(sources, by)
    clusters = len(sets) if clusters is None else clusters
    rows = draw_images(sets, per_set, seed)
    if not 2 <= clusters <= len(MARKERS):
        raise SemenetError(
            f"The figure has markers for 2 to {len(MARKERS)} clusters. Received: {clusters}. Give --clusters."
        )
    values, told = hash_features(rows) if features == "hash" else network_features(features, rows)
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
        "features": told,
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
    """Which of an image's 64 slowest patterns are stronger than the middle one of them.

    Args:
        image: uint8 `(height, width)`, values in [0, 255].

    Returns:
        float32 `(64,)` of 0 and 1: whether each discrete cosine coefficient of the image's thumbnail, of the
        frequencies 1 to 8 both ways, lies above their median. The squared distance of two is Hamming's.

    Reference:
        Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010.
    """
    coefficients = cv2.dct(thumbnail(image).astype(np.float32))[1:9, 1:9].ravel()
    return (coefficients > np.median(coefficients)).astype(np.float32)


def hash_features(rows):
    """`perceptual_hash` of the images at `path`: float32 `(N, 64)`, and a dict that says so."""
    with show_steps("Reading") as show, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = []
        for bits in pool.map(lambda path: perceptual_hash(read_image(path)), rows["path"]):
            found.append(bits)
            show(len(found), len(rows))
    return np.stack(found), {"kind": "hash", "values": 64}


def network_features(path, rows):
    """What goes into the head of a run's classifier: float32 `(N, C)`, and a dict that says whose it is.

    Raises:
        SemenetError: the network segments; WeightsError: there is none; ImageError: an image cannot be read.
    """
    import keras

    from semenet.data.pipeline.datasets import evaluation_dataset, unwrapped_errors
    from semenet.training.run_folder.run import Run

    run = Run.open(path)
    if run.segments:
        raise SemenetError(
            f"Pooled features are those of a classifier. Received: {path}, which segments. Give another run."
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
    told = {"kind": "network", "values": values.shape[1], "run": str(path)}
    return values, told | {"trained_on": run.record.get("manifest_sha256")}


def find_clusters(values, of_set, clusters, seed):
    """K-means: an int array `(N,)` of clusters, those in which the first set is commonest first.

    Raises:
        SemenetError: there are fewer different values than clusters.
    """
    from sklearn.cluster import KMeans

    different = len(np.unique(values, axis=0))
    if different < clusters:
        raise SemenetError(
            f"K-means needs as many different features as clusters. Received: {different} different among "
            f"{len(values)} images, for {clusters} clusters. Choose fewer, or other features."
        )
    found = KMeans(clusters, n_init=10, random_state=seed).fit_predict(values)
    counts = count(of_set, found, of_set.max() + 1, clusters)
    order = sorted(range(clusters), key=lambda index: (counts[index].argmax(), -counts[index].max()))
    return np.argsort(order)[found]


def count(of_set, cluster, sets, clusters):
    """Images by cluster and set: int `(clusters, sets)`."""
    return np.bincount(cluster * sets + of_set, minlength=sets * clusters).reshape(clusters, sets)


def purity(counts):
    """The share of images that are of their cluster's commonest set, from `count`'s array."""
    return float(counts.max(axis=1).sum() / counts.sum())


def compare(of_set, cluster, sets, clusters, seed):
    """How far clusters and sets agree: a dict for JSON.

    Chance is what the same clusters give when images swap their sets at random: with one large set purity is
    high whatever the features, which the other two figures are corrected or scaled for.
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
    """The first two principal components, `(N, 2)`, and the shares of the variance they explain."""
    from sklearn.decomposition import PCA

    components = PCA(2, svd_solver="full")
    return components.fit_transform(values), components.explained_variance_ratio_.tolist()


def draw_figure(places, of_set, cluster, result):
    """The images by their first two components: a set a colour, a cluster a marker."""
    figure = Figure(figsize=(9.2, 5.8), layout="constrained")
    axes = figure.add_subplot()
    sizes = [told["images"] for told in result["sets"].values()]
    # Large sets first, or they would cover the small ones.
    for index in np.argsort(sizes)[::-1]:
        for number in range(result["clusters"]):
            here = places[(of_set == index) & (cluster == number)]
            axes.scatter(*here.T, s=26, c=COLOURS[index], marker=MARKERS[number], alpha=0.6, linewidths=0)
    colours = [
        Patch(color=COLOURS[index], label=f"{name} ({told['images']} images)")
        for index, (name, told) in enumerate(result["sets"].items())
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
    """The figures in two lines."""
    chance = result["purity_by_chance"]
    return (
        f"K-means, {result['clusters']} clusters of {result['features']['kind']} features: purity "
        f"{result['purity']:.3f}; by chance {chance['mean']:.3f}, in 95 % up to {chance['quantile_95']:.3f}\n"
        f"Adjusted Rand index {result['adjusted_rand_index']:.3f}, normalised mutual information "
        f"{result['normalized_mutual_information']:.3f}"
    )


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
