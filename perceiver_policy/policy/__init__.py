"""Spaces to tokens to latents to queries to an action."""
