"""MoEx-ResNet50 on dataset 1.

Paper:     not in the paper; an ablation between the rows GAP and SEME of table 4.
Command:   python recipes/moex_resnet50.py --manifest dataset1/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="moex_resnet50",
    clahe=0.4,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
