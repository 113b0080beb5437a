"""What the gateway scores answers in: traffic, planning, and what installed packages add.

A domain reads items, says what is legal, names the work by a key, has it done by the workers, and
makes rewards of what they find. What is general (admission, single flight, the ledger, jobs, keys)
knows no domain.
"""

from reward_server.domains.base import Computed, Domain, DomainContext, ProblemDomain

__all__ = ["Computed", "Domain", "DomainContext", "ProblemDomain"]
