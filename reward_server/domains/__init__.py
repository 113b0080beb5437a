"""The domains in which the gateway scores answers: traffic, planning, and installed packages' own.

A domain reads items, decides what is legal, gives the work a key, has the workers do it, and turns
their results into rewards. The general parts (admission, single flight, the ledger, jobs, keys) do
not depend on the domain.
"""

from reward_server.domains.base import Computed, Domain, DomainContext, ProblemDomain

__all__ = ["Computed", "Domain", "DomainContext", "ProblemDomain"]
