"""Side-by-side measurements against other ways of doing the job: ``make bench``."""
