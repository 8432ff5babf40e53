"""esu_scorer."""
