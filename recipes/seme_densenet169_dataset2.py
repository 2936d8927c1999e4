"""SEME-DenseNet169 on dataset 2.

Paper:     table 5 and figures 16, 18 and 19, row SE-MoEx; Grad-CAM in figure 17.
Command:   python recipes/seme_densenet169_dataset2.py --manifest dataset2/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           The paper's: accuracy 0.9714, F1 0.97, on its own test split.
           Reduced to 160 pixels, 12 epochs and the masked views, on two CPU cores in 23 minutes: accuracy
           0.973 on val. zoo/seme_densenet169/dataset2/card.md has the command and an audit of this result.
           Reduced to 64 pixels, a quarter of the channels and 8 epochs, on two CPU cores in 3 minutes per
           run: accuracy 0.933 ± 0.023, macro AUROC 0.983 ± 0.005 on val over 3 seeds;
           zoo/seme_densenet169/dataset2_small/card.md has the command.

The training split needs a lung mask for every image (`mask`), for the two views that show only the lungs.
The paper states neither epochs nor batch size; 80, 16 and one annealing cycle are our choice.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="seme_densenet169",
    classes=("other_viral", "COVID-19"),
    learning_rate=0.1,
    schedule="cosine",
    minimum_learning_rate=1e-08,
    rotation=30.0,
    views=("original", "clahe", "masked", "masked_clahe"),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
