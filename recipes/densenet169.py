"""DenseNet169 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row base.
Command:   python recipes/densenet169.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.7750, F1 0.78, on its own test split.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 6 minutes per
           run: accuracy 0.705, macro AUROC 0.926 on val with one seed; zoo/densenet169/dataset1_small/card.md
           has the command.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="densenet169",
    input_size=224,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
