"""
What the delivery benchmarks stand on: a real stack, from outside, through nothing but its public surface.

- `stage`: the stack, its host in N instances, K senders with a mailbox each, their limits;
- `outbox`: messages dropped by the thousand;  `ledger`: what became of them, read in a few requests;
- `mails`: what the mail server took, copy by copy;  `rates`: what times say about a rate;
- `killing`: SIGKILL for one instance;  `requests_log`: what storage was asked for, by table and queue;
- `table`: how a run is printed, and whether it holds.
"""
