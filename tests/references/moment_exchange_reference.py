"""MoEx in NumPy, from the equations of Li et al.: values and manually derived gradients, in float64."""

import numpy as np


def moments(x: np.ndarray, epsilon: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation over the channels."""
    mean = x.mean(-1, keepdims=True)
    deviation = np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + epsilon)
    return mean, deviation


def exchange(x: np.ndarray) -> np.ndarray:
    """Returns `h_A = (x_A - mu_A) / sigma_A * sigma_B + mu_B`, where B precedes A in the batch."""
    mean, deviation = moments(x)
    out = np.empty_like(x)
    for image in range(len(x)):
        partner = image - 1
        out[image] = (x[image] - mean[image]) / deviation[image] * deviation[partner] + mean[partner]
    return out


def exchange_gradient(x: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """Returns the gradient of `sum(upstream * exchange(x))`.

    It has two parts: through an image's own features, and through its moments in the following image.
    """
    channels = x.shape[-1]
    mean, deviation = moments(x)
    normalised = (x - mean) / deviation
    gradient = np.zeros_like(x)
    for image in range(len(x)):
        partner = image - 1
        g = upstream[image] * deviation[partner]
        gradient[image] += (
            g
            - g.mean(-1, keepdims=True)
            - normalised[image] * (g * normalised[image]).mean(-1, keepdims=True)
        ) / deviation[image]
        to_deviation = (upstream[image] * normalised[image]).sum(-1, keepdims=True)
        to_mean = upstream[image].sum(-1, keepdims=True)
        gradient[partner] += to_deviation * normalised[partner] / channels + to_mean / channels
    return gradient
