"""SE-ResNet50 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row SE.
Command:   python recipes/se_resnet50.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.8159, F1 0.80, on its own test split.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 4 minutes per
           run: accuracy 0.658 ± 0.030, macro AUROC 0.893 ± 0.009 on val over 3 seeds;
           zoo/se_resnet50/dataset1_small/card.md has the command.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="se_resnet50",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
