"""Where the compiled statements of requests are kept: apart from those of the program, and few."""

from sqlalchemy.util import LRUCache

OF_REQUESTS: dict[str, object] = {"compiled_cache": LRUCache(32)}
"""Options for executing what a request asks for. Each may be another statement, and a large one:
the engine would keep hundreds, and lose its own for them."""
