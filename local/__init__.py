"""
Sendoff on one machine: everything that Azure and Microsoft 365 are to it, on loopback. Never deployed.

Reading order:

- ``__main__``      the door: ``python3 -m local COMMAND``; standard library alone
- ``environment``   makes ``.venv`` and brings Node and Azurite into it; standard library alone
- ``commands``      what each command does
- ``stack``         starts the parts, writes ``.local/stack.json``, stops them again
- ``azurite``       Azure Storage (the emulator that Microsoft publishes)
- ``microsoft``     Entra ID, Graph, managed identity, Key Vault and Exchange Online: protocol-true stand-ins
- ``inbox``         the web page that shows what the mail server accepted
- ``host``          the Functions host: queue listener, timers, HTTP

``shared`` knows nothing of this folder: only settings differ.
"""
