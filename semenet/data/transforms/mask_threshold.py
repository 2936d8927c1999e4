"""The threshold that turns probabilities or grey levels into a binary mask.

Both constants express one rule. A probability p is stored as the grey level `round(255 * p)`, which is at
least 128 exactly when p is at least 0.5, because 127.5 rounds to the even number 128.
"""

# A pixel of this probability or more lies inside a mask.
MASK_PROBABILITY = 0.5
# A pixel of this grey level or more, in [0, 255], lies inside a mask.
MASK_LEVEL = 128
