"""``xrc benchmark``: the paper's evaluation, reproduced, and the wider one beside it.

::

    settings ─▶ plan ─▶ jobs ─▶ workers ─▶ store (results.jsonl)
                                             │
                 benchmark.json ◀── tables ◀─┘
                       │
                       └▶ report ─▶ document ─▶ Markdown, HTML

A job is one small measurement with a key of its own; a run does those whose key the store does
not hold, so a run that was killed goes on where it was.
"""
