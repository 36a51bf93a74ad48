"""Training of the wavelet codec's networks."""
