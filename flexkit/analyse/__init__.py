"""Pure analysis: frames in, frames out; no file, no network, no clock."""
