"""How Twilio is asked: one door, tries, pace; nothing here knows what is asked for.

To read in this order: `door` (which addresses), `answers`, `tries` (when again), `probe` and `control` (how fast,
pure), `pace` (whose turn), `transport` (all of it behind the SDK's client).
"""
