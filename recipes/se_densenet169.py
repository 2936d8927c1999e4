"""SE-DenseNet169 on dataset 1.

Paper:     table 4 and figures 10, 12 and 13, row SE.
Command:   python recipes/se_densenet169.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.8187, F1 0.82, on its own test split.
"""

from semenet.training.command import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="se_densenet169",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
