"""Pictures of results, drawn with matplotlib and never shown on a screen."""
