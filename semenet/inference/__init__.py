"""From a trained network and images to probabilities, masks and heat maps."""
