"""Training of the networks, in torch; nothing else in the package imports it but ``xrc train``."""
