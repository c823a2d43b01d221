"""How far a run and its maps are: read from what the app reports, shown as a bar, or as a line now and then."""
