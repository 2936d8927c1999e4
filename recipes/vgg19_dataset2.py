"""VGG19 on the raw images of dataset 2: the paper's misleading success.

Paper:     figure 14: raw images, an AUC of 1.0, and heat maps on the burnt-in letters.
Command:   python recipes/vgg19_dataset2.py --manifest dataset2/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.97 on validation, AUC 1.0 on test; neither has any value.

It shows how a network learns a shortcut: images are neither masked nor enhanced, only rotated by up to 30
degrees. The paper states no optimizer for these runs: SGD at 1e-4 with momentum 0.9 is that of its section
4.1; 80 epochs and batches of 16 are our choice.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="vgg19",
    classes=("other_viral", "COVID-19"),
    input_size=224,
    rotation=30.0,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
