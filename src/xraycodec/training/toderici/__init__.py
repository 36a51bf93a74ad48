"""Training of the baseline of Toderici et al. (CVPR 2017)."""
