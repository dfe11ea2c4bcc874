"""Search for settings with Ray Tune: on validation data alone."""
