"""The ensemble of released members: what is fitted to their mean, and how it does beside them."""
