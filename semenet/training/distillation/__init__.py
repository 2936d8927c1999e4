"""Knowledge distillation from a trained network."""
