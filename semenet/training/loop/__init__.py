"""The training loop: optimizer, validation, weight averaging, logs."""
