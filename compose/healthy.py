"""Ends with 0 when every address given answers 200: the health check of a container without wget."""

import sys
from urllib.request import urlopen

for address in sys.argv[1:]:
    with urlopen(address, timeout=4) as answer:  # noqa: S310  # addresses of docker-compose.yml
        if answer.status != 200:
            sys.exit(f"{address}: {answer.status}")
