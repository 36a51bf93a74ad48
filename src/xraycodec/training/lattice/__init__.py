"""Training of the lattice codec's networks."""
