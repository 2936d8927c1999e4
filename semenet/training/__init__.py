"""Recipes, and the runs that follow them."""
