"""A decorator of the app's own, put between the SDK's and the function."""

import functools
import inspect


def logged(function):
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args, **kwargs):
            print(f"in {function.__name__}")
            return await function(*args, **kwargs)

        return awaited

    @functools.wraps(function)
    def called(*args, **kwargs):
        print(f"in {function.__name__}")
        return function(*args, **kwargs)

    return called
