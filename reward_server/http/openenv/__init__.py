"""OpenEnv's protocol: episodes over a WebSocket, for its unchanged clients.

Read from openenv 0.10.0, ``core/env_server/{http_server,types,serialization}.py`` and
``core/env_client.py``, and from verifiers 0.4.0, ``v1/tasksets/openenv/taskset.py``.
"""
