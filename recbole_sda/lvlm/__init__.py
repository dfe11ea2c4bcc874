"""The LVLM stage: adapt a vision-language model to a catalogue, extract its vectors, export its adapters."""
