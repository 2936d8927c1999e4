"""DenseNet169-GAP on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row GAP.
Command:   python recipes/densenet169_gap.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.8094, F1 0.81, on its own test split.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 6 minutes per
           run: accuracy 0.723 ± 0.041, macro AUROC 0.933 ± 0.003 on val over 2 seeds;
           zoo/densenet169_gap/dataset1_small/card.md has the command.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="densenet169_gap",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
