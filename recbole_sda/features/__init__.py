"""Item features on disk: the store, its derived views, light encoders, imports from other formats."""
