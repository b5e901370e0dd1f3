"""The ground that maps are played on."""
