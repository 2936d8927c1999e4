"""The audit: whether the label can be predicted without the lungs."""
