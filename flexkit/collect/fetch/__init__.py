"""What Twilio is asked for, and what a fetch makes of the answers; its face is `flexkit.collect.twilio_api`.

To read in this order: `windows` and `pages` (how lists are read), `held` (what need not be asked), `plan`, `run`
(what readers share), `sink` (into the store), `window_reader` and `by_time`, `by_sid`, `configuration` (the readers),
`fetching` (the whole of it), `summary` and `progress` (in words), `lock` (one at a time).
"""
