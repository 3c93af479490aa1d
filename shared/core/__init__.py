"""
Decisions, and nothing but decisions: no I/O, no clock, no randomness, no logging.

What varies (time, jitter, ids) comes in as an argument and what is decided goes out as a value, so every test
here is a table.

Reading order: ``message`` (what an app may ask) and ``intake`` (how it is read); ``rendering`` in its
``sandbox``, ``plain_text``, ``mime`` with ``headers``, ``raw`` with ``mailboxes``, and ``limits`` (what
becomes of it); ``sender`` and ``oauth`` (who may send it); ``smtp``, ``xoauth2``, ``reply`` (how a server
answers); ``delivery`` (what is done next), ``events`` (what is told), ``remedies`` (what to do).
"""
