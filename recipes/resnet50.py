"""ResNet50 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row base.
Command:   python recipes/resnet50.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.7281, F1 0.73, on its own test split.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 3 minutes per
           run: accuracy 0.625 ± 0.026, macro AUROC 0.843 ± 0.012 on val over 3 seeds;
           zoo/resnet50/dataset1_small/card.md has the command.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="resnet50",
    input_size=224,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
