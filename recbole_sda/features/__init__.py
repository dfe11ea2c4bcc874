"""Item features on disk: the feature store, transforms of its vectors, light encoders, imports from other formats."""
