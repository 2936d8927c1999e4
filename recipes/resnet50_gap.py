"""ResNet50-GAP on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row GAP.
Command:   python recipes/resnet50_gap.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.7406, F1 0.74, on its own test split.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 2 minutes per
           run: accuracy 0.662 ± 0.024, macro AUROC 0.875 ± 0.021 on val over 3 seeds;
           zoo/resnet50_gap/dataset1_small/card.md has the command.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="resnet50_gap",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
