"""What an instance does at this moment, and why it has not ended: read from the store and the dispatchers' memory.

Only looks. The dispatchers run instances; `timeline/` makes tasks of what is stored, without a dispatcher.
"""
