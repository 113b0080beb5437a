"""Other trainers' own protocols. Pure translation: requests into items, results into answers.

One module per protocol. Each names the client code that it was read from; the tests send what that
client sends.
"""
