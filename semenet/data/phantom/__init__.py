"""Synthetic chest radiographs with known lungs, lesions and markers."""
