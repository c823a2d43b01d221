"""huey's task, in a module that caller and consumer import under one name. Redis: at $BENCH_REDIS."""

import os

from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS"])


@huey.task()
def process_item(payload: str) -> str:
    return f"Processed {payload}"
