"""SEME-ResNet50 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row SEME; Grad-CAM in figure 11.
Command:   python recipes/seme_resnet50.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.8562, F1 0.86, on its own test split.
           Reduced to 128 pixels and 12 epochs, on two CPU cores in 101 minutes: accuracy 0.871, macro AUROC
           0.968 on val; zoo/seme_resnet50/dataset1/card.md has the command.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 4 minutes per
           run: accuracy 0.717 ± 0.011, macro AUROC 0.913 ± 0.004 on val over 3 seeds;
           zoo/seme_resnet50/dataset1_small/card.md has the command.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="seme_resnet50",
    clahe=0.4,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
