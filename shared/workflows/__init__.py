"""
One file for each thing that happens, as numbered steps.

A workflow decides nothing itself: ``core`` decides. It touches nothing itself: what it needs of the world is
a small ``Protocol``, and ``services`` hands it the adapter. So each reads like the paragraph that describes
it.
"""
