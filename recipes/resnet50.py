"""ResNet50 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row base.
Command:   python recipes/resnet50.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.7281, F1 0.73, on its own test split.
"""

from semenet.training.command import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="resnet50",
    input_size=224,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
