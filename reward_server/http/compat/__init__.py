"""Other trainers' own protocols. Pure translation: what they send into items, results into answers.

One module a protocol. Each names the client that it was read from; the tests send what that client
sends.
"""
