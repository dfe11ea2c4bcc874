"""Data sets, samples and dataloaders."""
