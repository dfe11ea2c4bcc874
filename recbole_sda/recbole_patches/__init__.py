"""Every change that is made to RecBole and the libraries below it."""
