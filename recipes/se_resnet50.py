"""SE-ResNet50 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row SE.
Command:   python recipes/se_resnet50.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.8159, F1 0.80, on its own test split.
"""

from semenet.training.command import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="se_resnet50",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
