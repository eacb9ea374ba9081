"""Limits and budgets, decided without I/O.

`counters` is the arithmetic of one counter: how its numbers change when time passes and when a call reserves or is charged.
`rules` says which counters apply to a call, from the configuration and the caller.
`reservations` changes all counters of a call at once: reserve, settle, release, extend, expire.

`estimate` predicts what a call uses, `models` chooses its model, and `refusals` writes the error, the headers and the
warning that a caller receives.
"""
