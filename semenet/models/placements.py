"""Where networks may have squeeze-and-excitation blocks and the moment exchange, as data without Keras."""

SE_PLACEMENTS = {
    "resnet50": ("standard", "pre", "post", "identity"),
    "densenet169": ("both", "blocks", "transitions"),
}
MOEX_POSITIONS = ("conv1", "stem")
