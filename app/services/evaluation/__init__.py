"""The shipped experts measured on films with known labels, through the path that serves answers."""
