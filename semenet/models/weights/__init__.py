"""Where weights come from: published, ImageNet or saved; how they are verified and stored."""
