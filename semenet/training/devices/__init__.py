"""One device, several GPUs, or several machines."""
