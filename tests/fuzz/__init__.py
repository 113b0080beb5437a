"""Generated scenarios: the user's own simulation against what the product makes of it.

``python -m tests.fuzz`` draws small scenarios (:mod:`tests.fuzz.generator`), lets the product build
and serve them (:mod:`tests.fuzz.product`), and asks plain SUMO under the user's own configuration
the same questions (:mod:`tests.fuzz.own_run`). All digits must agree.
"""
