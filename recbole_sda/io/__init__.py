"""Files: reading and writing artefacts, YAML, images, locks."""
