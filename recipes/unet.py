"""U-Net for lung segmentation.

Paper:     figure 15 and section 4.2.
Command:   python recipes/unet.py --manifest lung/manifest.csv --out RUN
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.
           Reduced to 256 pixels, a quarter of the channels and 14 epochs, on two CPU cores in 70 minutes
           beside other jobs: Dice 0.958 on val; zoo/unet/lung/card.md has the command.

The paper states Adam and cosine annealing; learning rates, 40 epochs and batch size are our choice.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="unet",
    classes=("lung",),
    optimizer="adam",
    learning_rate=0.001,
    schedule="cosine",
    minimum_learning_rate=1e-08,
    monitor="val_mean_iou",
    epochs=40,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
