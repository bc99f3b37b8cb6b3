"""A server that speaks Twilio's HTTP API on the loopback address, and can fail in every way that networks know."""
