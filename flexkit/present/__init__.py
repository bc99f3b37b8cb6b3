"""Numbers to pictures and words."""
