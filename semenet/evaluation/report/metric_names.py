"""The names of the headline metrics in reports."""

# Names and short explanations of the headline metrics.
MEANINGS = {
    "accuracy": ("Accuracy", "share of images with the right predicted class"),
    "balanced_accuracy": ("Balanced accuracy", "mean recall over the classes"),
    "macro_f1": ("Macro F1", "mean over the classes, with equal weights"),
    "macro_auroc": ("Macro AUROC", "mean over the classes, each against the rest; chance is 0.5"),
    "micro_auroc": ("Micro AUROC", "over all decisions together; frequent classes weigh more"),
    "dice": ("Dice", "2 x overlap / sum of both areas; mean over images"),
    "iou": ("IoU", "overlap / union; mean over images"),
    "mean_iou": ("Mean IoU", "mean IoU of foreground and background; mean over images"),
    "hausdorff95": ("95 % Hausdorff", "distance between the outlines, in pixels of the network's input"),
}
