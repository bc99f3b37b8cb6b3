"""flexkit: how often Twilio Flex Interactions are completed twice (warning 80906), why, and whether a fix worked."""

__version__ = "0.1.0"
