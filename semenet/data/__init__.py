"""From any radiograph and its manifest row to the tensor a network takes."""
