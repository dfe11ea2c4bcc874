"""Tiny random models of the supported families, for :mod:`recbole_sda.lvlm.tiny`."""
