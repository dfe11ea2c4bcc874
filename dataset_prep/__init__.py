"""From raw data to RecBole atomic files, an items file and pictures."""
