"""A process that appends numbered rows for ever, and writes each number to its standard output once it is journaled."""

import itertools
import os
import sys
from pathlib import Path

from otel_llmcost.journal import Journal

if __name__ == "__main__":
    journal = Journal(Path(sys.argv[1]), ledger="test", seal_rows=int(sys.argv[2]))
    for number in itertools.count(int(sys.argv[3])):
        journal.append("llm_requests", "202611", b'{"n":%d,"pad":"%s"}' % (number, b"x" * 600))
        os.write(1, b"%d\n" % number)
        if number % 500 == 0:
            journal.maintain()
