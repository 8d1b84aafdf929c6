"""Use cases of the hospital side: films arrive, are answered and delivered, and nothing is lost on the way."""
