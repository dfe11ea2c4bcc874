"""Preparation of data sets: from raw data to RecBole atomic files, an items file and images."""
