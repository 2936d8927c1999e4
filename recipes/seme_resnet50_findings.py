"""SEME-ResNet50 on the findings of ChestX-ray14: several of them, or none, in one image.

Paper:     future work: "complications of pneumonia". Pneumonia and what comes with it or after it.
Data:      semenet data findings nih/manifest.csv --out nih/findings.csv
Command:   python recipes/seme_resnet50_findings.py --manifest nih/findings.csv --out RUN
Thresholds: semenet calibrate RUN --manifest nih/findings.csv
Hardware:  not yet run at full size.
Wall time: not yet measured.
Score:     not yet measured.

Learning rate, schedule, augmentation and weights of positive images are our choice.
"""

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import Recipe

RECIPE = Recipe(
    entry="seme_resnet50",
    classes=("Pneumonia", "Consolidation", "Infiltration", "Effusion", "Atelectasis", "Edema"),
    labels="several",
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    schedule="cosine",
    minimum_learning_rate=1e-6,
    warmup=0.1,
    class_weights="balanced",
    rotation=10.0,
    zoom=0.1,
    shift=0.05,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
