"""Rate cards to rates to cost: pure integer arithmetic over dated prices."""
