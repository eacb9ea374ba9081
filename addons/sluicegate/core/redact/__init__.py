"""Finds secrets in a request, hides them behind placeholders, and restores them in the answer.

rules     what counts as a secret
scan      runs rules over one text                               imports rules
walk      the strings of a JSON body, and changing them
hide      replaces findings of a request by placeholders         imports scan, walk
restore   puts the values back into the answer                   imports hide, walk
"""
