"""Offline: train, evaluate and export the networks that `app` serves. Needs the extra ``train`` (torch)."""
